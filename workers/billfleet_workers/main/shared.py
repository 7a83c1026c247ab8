"""What the workers of one process share: database, clients, gateway, metrics, gate.

`fleet` opens it once and closes it when everything has drained; each module of `fleet_workers`
takes from it what its handlers need. It knows no worker.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from billfleet_db import Database
from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.aws_lean import LeanAwsClients
from billfleet_workers.adapters.dynamodb import DynamoDedupeStore
from billfleet_workers.adapters.dynamodb_quota import DynamoSlots, SlotQuota
from billfleet_workers.adapters.payments_log import LogGateway
from billfleet_workers.adapters.payments_rated import RatedGateway
from billfleet_workers.adapters.redeeming_queue import OpenStore
from billfleet_workers.adapters.silent_metrics import SilentMetrics
from billfleet_workers.adapters.statsd import StatsdMetrics
from billfleet_workers.handlers.unit_of_work import DEPENDENCY
from billfleet_workers.runtime.clock import Clock, SystemClock
from billfleet_workers.runtime.errors import Misconfigured
from billfleet_workers.runtime.gate import Gate
from billfleet_workers.runtime.ports.metrics import Metrics
from billfleet_workers.runtime.ports.objects import ObjectStore
from billfleet_workers.runtime.ports.payments import PaymentGateway
from billfleet_workers.settings import Settings

UPKEEP_POOL_SIZE: Final = 3
CLAIM_CHECKS: Final = "claim-checks/"
"""What keys of left bodies begin with in the fleet's own bucket."""
SOURCE: Final = "/billfleet"
# Stripe allows 25 requests a second and endpoint unless more was agreed; some room is left.
DEFAULT_RATES_PER_S: Final[Mapping[str, int]] = {"stripe": 20}


@dataclass(frozen=True, slots=True)
class Shared:
    """What the workers of one process share. `closing` is closed when they have drained."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    database: Database
    upkeep: Database
    """A small pool for the relay, the sealer and the probe, so that handlers never starve them."""
    clients: AwsClients
    dedupe: DynamoDedupeStore
    gateway: PaymentGateway
    gate: Gate
    closing: AsyncExitStack
    files: "FilesRoom"

    async def open_objects(self) -> ObjectStore:
        """The store of files, opened when the first worker asks and shared by all."""
        return await self.files.open()


class FilesRoom:
    """Opens the object store once, however many workers ask at the same time."""

    def __init__(self, settings: Settings, clients: AwsClients, closing: AsyncExitStack) -> None:
        self._settings = settings
        self._clients = clients
        self._closing = closing
        self._stores: dict[str, ObjectStore] = {}
        self._opening = asyncio.Lock()

    async def open(self, bucket: str | None = None) -> ObjectStore:
        """The store of a bucket (default: the fleet's own), closed with everything else."""
        from billfleet_workers.adapters.s3_objects import S3ObjectStore

        async with self._opening:
            bucket = bucket or self._settings.bucket()
            if bucket not in self._stores:
                store = await S3ObjectStore.open(self._clients, bucket=bucket)
                self._closing.push_async_callback(store.close)
                self._stores[bucket] = store
            return self._stores[bucket]

    def claim_checks(self) -> dict[str, tuple[str, OpenStore]]:
        """The buckets that bodies may have been left in, with the prefix of their keys."""
        own = self._settings.bucket()
        stores: dict[str, tuple[str, OpenStore]] = {
            bucket: ("", partial(self.open, bucket))
            for bucket in self._settings.claim_check_bucket_names
        }
        return stores | {own: (CLAIM_CHECKS, partial(self.open, own))}


@asynccontextmanager
async def open_shared(settings: Settings) -> AsyncIterator[Shared]:
    """Open what the workers of one process share; everything is closed on the way out."""
    clock = SystemClock()
    async with AsyncExitStack() as closing:
        database = open_database(settings)
        closing.push_async_callback(database.close)
        upkeep = Database.connect(
            settings.database_url.get_secret_value(),
            pool_size=UPKEEP_POOL_SIZE,
            application_name="billfleet-upkeep",
        )
        closing.push_async_callback(upkeep.close)
        clients = open_aws_clients(settings, clock)
        dedupe = await DynamoDedupeStore.open(clients, stack=settings.stack, clock=clock)
        closing.push_async_callback(dedupe.close)
        metrics = _open_metrics(settings, closing)

        async def probe_dedupe() -> None:
            await dedupe.read(["billfleet#probe"])

        gateway = await _open_rated_gateway(settings, clients, clock, closing)
        probes = {
            DEPENDENCY: upkeep.ping,
            dedupe.dependency: probe_dedupe,
            gateway.name: gateway.ping,
        }
        gate = Gate(probes, clock)
        files = FilesRoom(settings, clients, closing)
        yield Shared(
            settings,
            clock,
            metrics,
            database,
            upkeep,
            clients,
            dedupe,
            gateway,
            gate,
            closing,
            files,
        )


async def check_shared(shared: Shared) -> None:
    """Ask the database and the dedupe table for an answer, so that a wrong setting shows at start.

    Raises:
        Misconfigured: the table or a permission is missing.
        Unavailable: DynamoDB does not answer.
        billfleet_db.errors.DatabaseError: the database does not answer, or refuses us.
    """
    await shared.database.ping()
    await shared.dedupe.read(["billfleet#start"])


def open_database(settings: Settings) -> Database:
    """A pool of connections as the application role."""
    return Database.connect(
        settings.database_url.get_secret_value(), pool_size=settings.database_pool_size
    )


@asynccontextmanager
async def opened_database(settings: Settings) -> AsyncIterator[Database]:
    """The same for as long as a sweep or a command takes."""
    database = open_database(settings)
    try:
        yield database
    finally:
        await database.close()


def _open_gateway(settings: Settings) -> PaymentGateway:
    if settings.gateway == "log":
        return LogGateway()
    if settings.stripe_api_key is None:
        raise Misconfigured("the Stripe gateway", "set BILLFLEET_STRIPE_API_KEY")
    # Imported here, as the health endpoint below: a worker that needs neither stays small.
    from billfleet_workers.adapters.payments_stripe import StripeGateway

    return StripeGateway(
        settings.stripe_api_key.get_secret_value(), api_base=settings.stripe_api_base
    )


async def _open_rated_gateway(
    settings: Settings, clients: AwsClients, clock: Clock, closing: AsyncExitStack
) -> PaymentGateway:
    """The gateway, at the rate that the fleet shares."""
    gateway = _open_gateway(settings)
    closing.push_async_callback(gateway.close)
    rate = settings.gateway_calls_per_s or DEFAULT_RATES_PER_S.get(gateway.name)
    if rate is None:
        return gateway
    slots = DynamoSlots(await clients.open_dynamodb(), stack=settings.stack, clock=clock)
    closing.push_async_callback(slots.close)
    quota = SlotQuota(slots.insert, {gateway.name: rate}, clock, random.shuffle)
    return RatedGateway(gateway, quota, clock)


def open_aws_clients(settings: Settings, clock: Clock) -> AwsClients:
    """Clients of the kind that the settings ask for."""
    region, endpoint_url = settings.aws_region, settings.aws_endpoint_url
    if settings.aws_client == "sdk":
        return AwsClients(region=region, endpoint_url=endpoint_url)
    return LeanAwsClients(
        region=region, endpoint_url=endpoint_url, clock=clock, jitter=random.random
    )


def _open_metrics(settings: Settings, closing: AsyncExitStack) -> Metrics:
    if settings.statsd_host is None:
        return SilentMetrics()
    metrics = StatsdMetrics(settings.statsd_host, settings.statsd_port, tags=settings.statsd_tags)
    closing.callback(metrics.close)
    return metrics
