"""Settings become parts: database, clients, gateway, metrics, handlers, consumers.

`fleet` and `sweeps` open what they need here. A new worker is a line in `WORKERS` and a case in
`_handlers`. It runs nothing by itself.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from billfleet_contracts import (
    QUEUES,
    AddPoints,
    CancelTransaction,
    CollectPayments,
    IssueStamps,
    PaymentReported,
    RebillAccounts,
    RedeemReward,
    SetProgramme,
    decoder_of,
)
from billfleet_db import Database
from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.aws_lean import LeanAwsClients
from billfleet_workers.adapters.aws_publisher import AwsPublisher
from billfleet_workers.adapters.dynamodb import DynamoDedupeStore
from billfleet_workers.adapters.dynamodb_quota import DynamoSlots, SlotQuota
from billfleet_workers.adapters.payments_log import LogGateway
from billfleet_workers.adapters.payments_rated import RatedGateway
from billfleet_workers.adapters.silent_metrics import SilentMetrics
from billfleet_workers.adapters.sqs import SqsQueue
from billfleet_workers.adapters.statsd import StatsdMetrics
from billfleet_workers.handlers.collect import CollectHandler, CollectPolicy
from billfleet_workers.handlers.loyalty_points import LoyaltyHandler
from billfleet_workers.handlers.rebill import RebillHandler, RebillLimits
from billfleet_workers.handlers.relay import Relay, Sealer
from billfleet_workers.handlers.unit_of_work import DEPENDENCY
from billfleet_workers.runtime.clock import Clock, SystemClock
from billfleet_workers.runtime.concurrency import Concurrency
from billfleet_workers.runtime.consumer import Consumer
from billfleet_workers.runtime.desk import Desk
from billfleet_workers.runtime.errors import Misconfigured
from billfleet_workers.runtime.gate import Gate
from billfleet_workers.runtime.handling import Handler
from billfleet_workers.runtime.heartbeat import Heartbeat
from billfleet_workers.runtime.policy import DeliveryPolicy
from billfleet_workers.runtime.ports.metrics import Metrics
from billfleet_workers.runtime.ports.payments import PaymentGateway
from billfleet_workers.runtime.tally import Tally
from billfleet_workers.runtime.vitals import Vitals
from billfleet_workers.settings import Settings

RELAY: Final = "relay"
UPKEEP_POOL_SIZE: Final = 3
SOURCE: Final = "/billfleet"
# Stripe allows 25 requests a second and endpoint unless more was agreed; some room is left.
DEFAULT_RATES_PER_S: Final[Mapping[str, int]] = {"stripe": 20}

WORKERS: Final[Mapping[str, str]] = {
    "rebill": "charges due accounts: ledger, next date, outbox",
    "collect": "collects charges through the payment gateway, with dunning",
    "loyalty-points": "keeps loyalty cards: points, stamps, rewards, cancellations",
    RELAY: "carries the outbox to SQS and SNS, and seals the ledger",
}


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
        clients = _aws_clients(settings, clock)
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
        yield Shared(
            settings, clock, metrics, database, upkeep, clients, dedupe, gateway, gate, closing
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


async def open_consumer(shared: Shared, name: str) -> Consumer:
    """The consumer of a worker's queue, checked and not yet started."""
    settings = shared.settings
    spec = next(spec for spec in QUEUES.values() if spec.worker == name)
    queue = await SqsQueue.open(shared.clients, stack=settings.stack, name=spec.name)
    shared.closing.push_async_callback(queue.close)
    await queue.check()
    policy = DeliveryPolicy.of(spec, retain_s=settings.dedupe_retain_s, lease_s=settings.lease_s)
    desk = Desk(
        queue=queue,
        dedupe=shared.dedupe,
        handlers=_handlers(name, shared),
        policy=policy,
        clock=shared.clock,
        metrics=shared.metrics,
        gate=shared.gate,
        heartbeat=Heartbeat(queue, shared.dedupe, policy, shared.clock, shared.metrics),
        tally=Tally(),
        draining=asyncio.Event(),
        concurrency=Concurrency(
            min(settings.in_flight_min, settings.in_flight_max), settings.in_flight_max
        ),
        fifo=spec.fifo,
        decode=decoder_of(spec.form),
        tenant_max=settings.tenant_in_flight_max,
    )
    return Consumer(desk, receivers=settings.receivers, poll_wait_s=settings.poll_wait_s)


async def open_relay(shared: Shared) -> Relay:
    """The outbox relay, not yet started."""
    publisher = await AwsPublisher.open(shared.clients, stack=shared.settings.stack)
    shared.closing.push_async_callback(publisher.close)
    return Relay(shared.upkeep, publisher, shared.clock, shared.metrics)


async def open_health(shared: Shared, vitals: Vitals) -> None:
    """The health endpoint, where one is asked for."""
    settings = shared.settings
    if settings.health_port is None:
        return
    from billfleet_workers.adapters.health_http import HealthEndpoint

    endpoint = await HealthEndpoint.open(
        settings.health_host,
        settings.health_port,
        liveness=lambda: vitals.liveness().problems,
        readiness=lambda: vitals.readiness().problems,
    )
    shared.closing.push_async_callback(endpoint.close)


def open_sealer(shared: Shared) -> Sealer:
    """The sealer that runs beside the relay."""
    return Sealer(shared.upkeep, shared.clock, every_s=shared.settings.seal_every_s)


def open_database(settings: Settings) -> Database:
    """A pool of connections as the application role."""
    return Database.connect(
        settings.database_url.get_secret_value(), pool_size=settings.database_pool_size
    )


def rebill_limits(settings: Settings) -> RebillLimits:
    """How much is billed at once, and how far ahead."""
    return RebillLimits(
        catch_up_periods_max=settings.catch_up_periods_max,
        charges_per_day_max=settings.charges_per_day_max,
        horizon_days=settings.horizon_days,
    )


def _handlers(name: str, shared: Shared) -> Mapping[str, Handler]:
    """The event types that a worker's queue carries, each with its handler."""
    if name == "rebill":
        rebill = RebillHandler(
            shared.database,
            shared.clock,
            rebill_limits(shared.settings),
            shared.metrics,
            source=f"{SOURCE}/rebill",
        )
        return {RebillAccounts.TYPE: rebill}
    if name == "loyalty-points":
        loyalty = LoyaltyHandler(
            shared.database, shared.clock, shared.metrics, source=f"{SOURCE}/loyalty-points"
        )
        requests = (IssueStamps, AddPoints, RedeemReward, CancelTransaction, SetProgramme)
        return {event.TYPE: loyalty for event in requests}
    # The log answers at once, so all bills of a message may go side by side.
    # For the same reason what a dead worker had in hand need not wait out a gateway's time-out.
    quick = CollectPolicy(calls_at_once=100, lease=timedelta(seconds=15))
    policy = quick if shared.settings.gateway == "log" else None
    collect = CollectHandler(shared.database, shared.gateway, shared.clock, shared.metrics, policy)
    return {CollectPayments.TYPE: collect, PaymentReported.TYPE: collect}


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


def _aws_clients(settings: Settings, clock: Clock) -> AwsClients:
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
