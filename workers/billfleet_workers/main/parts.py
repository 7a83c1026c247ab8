"""What a fleet runs, made from what its workers share: consumers, relay, sealer, health.

`fleet` opens them here. Which handlers a worker has is told by its module in `fleet_workers`.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from billfleet_contracts import QUEUES, QueueSpec, decoder_of
from billfleet_workers.adapters.redeeming_queue import RedeemingQueue
from billfleet_workers.adapters.sqs import SqsQueue
from billfleet_workers.main.fleet_workers import SPECS
from billfleet_workers.main.fleet_workers.spec import Handlers
from billfleet_workers.main.shared import Shared
from billfleet_workers.runtime.concurrency import Concurrency
from billfleet_workers.runtime.consumer import Consumer
from billfleet_workers.runtime.desk import Desk
from billfleet_workers.runtime.heartbeat import Heartbeat
from billfleet_workers.runtime.policy import DeliveryPolicy
from billfleet_workers.runtime.ports.queue import Queue
from billfleet_workers.runtime.recollection import Recollection
from billfleet_workers.runtime.tally import Tally
from billfleet_workers.runtime.vitals import Vitals

if TYPE_CHECKING:
    from billfleet_workers.handlers.relay import Relay, Sealer

RELAY: Final = "relay"

WORKERS: Final[Mapping[str, str]] = {
    **{name: spec.description for name, spec in SPECS.items()},
    RELAY: "carries the outbox to SQS and SNS, and seals the ledger",
}


async def open_consumer(shared: Shared, name: str) -> Consumer:
    """The consumer of a worker's queue, checked and not yet started."""
    sqs = await open_queue(shared, name)
    await sqs.check()
    desk = open_desk(shared, name, sqs, await SPECS[name].open(shared))
    settings = shared.settings
    return Consumer(desk, receivers=settings.receivers, poll_wait_s=settings.poll_wait_s)


async def open_queue(shared: Shared, name: str) -> SqsQueue:
    """A worker's queue; it is closed with what is shared."""
    sqs = await SqsQueue.open(shared.clients, stack=shared.settings.stack, name=_spec(name).name)
    shared.closing.push_async_callback(sqs.close)
    return sqs


def open_desk(shared: Shared, name: str, source: Queue, handlers: Handlers) -> Desk:
    """Everything that delivering for a worker needs, with its messages from `source`."""
    settings, spec = shared.settings, _spec(name)
    queue = RedeemingQueue(source, shared.files.claim_checks())
    policy = DeliveryPolicy.of(spec, retain_s=settings.dedupe_retain_s, lease_s=settings.lease_s)
    worker = SPECS[name]
    in_flight_max = min(settings.in_flight_max, worker.in_flight_max or settings.in_flight_max)
    return Desk(
        queue=queue,
        dedupe=shared.dedupe,
        handlers=handlers,
        policy=policy,
        clock=shared.clock,
        metrics=shared.metrics,
        gate=shared.gate,
        heartbeat=Heartbeat(queue, shared.dedupe, policy, shared.clock, shared.metrics),
        tally=Tally(),
        draining=asyncio.Event(),
        concurrency=Concurrency(min(settings.in_flight_min, in_flight_max), in_flight_max),
        recollection=Recollection(keeps_done=settings.keep_deliveries),
        fifo=spec.fifo,
        decode=decoder_of(spec.form),
        tenant_max=settings.tenant_in_flight_max,
        gather_s=worker.gather_s,
    )


def _spec(worker: str) -> QueueSpec:
    return next(spec for spec in QUEUES.values() if spec.worker == worker)


async def open_relay(shared: Shared) -> "Relay":
    """The outbox relay, not yet started."""
    # Imported here, as the sealer: the other workers stay small without them.
    from billfleet_workers.adapters.aws_publisher import AwsPublisher
    from billfleet_workers.handlers.relay import Relay

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


def open_sealer(shared: Shared) -> "Sealer":
    """The sealer that runs beside the relay."""
    from billfleet_workers.handlers.relay import Sealer

    return Sealer(shared.upkeep, shared.clock, every_s=shared.settings.seal_every_s)
