"""A desk with everything in memory, for tests of the runtime: no sleeps, nothing patched."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from billfleet_contracts import AccountPeriod, RebillAccounts, encode, wrap
from billfleet_workers.adapters.memory_dedupe import MemoryDedupeStore
from billfleet_workers.adapters.memory_metrics import MemoryMetrics
from billfleet_workers.adapters.memory_queue import MemoryQueue
from billfleet_workers.runtime.clock import ManualClock
from billfleet_workers.runtime.concurrency import Concurrency
from billfleet_workers.runtime.delivery import deliver
from billfleet_workers.runtime.desk import Desk
from billfleet_workers.runtime.gate import Gate
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.heartbeat import Heartbeat
from billfleet_workers.runtime.in_flight import Delivery
from billfleet_workers.runtime.policy import DeliveryPolicy
from billfleet_workers.runtime.ports.queue import Received
from billfleet_workers.runtime.tally import Tally

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
LEASE_S = 60.0

Act = Callable[[Work], Awaitable[Finished]]


async def finish(work: Work) -> Finished:
    """The handler that always works."""
    return Finished({"billed": 1})


@dataclass
class ScriptedHandler:
    """Calls `act` and remembers what it was given."""

    act: Act = finish
    works: list[Work] = field(default_factory=list)

    async def handle(self, work: Work) -> Finished:
        self.works.append(work)
        return await self.act(work)


class Room:
    """One queue, one dedupe store, one handler and a desk over them."""

    def __init__(
        self, act: Act = finish, *, attempts_max: int = 8, in_flight_max: int = 20
    ) -> None:
        self.clock = ManualClock(START)
        self.queue = MemoryQueue("rebill", self.clock)
        self.dedupe = MemoryDedupeStore(self.clock)
        self.metrics = MemoryMetrics()
        self.handler = ScriptedHandler(act)
        self.attempts_max = attempts_max
        self.in_flight_max = in_flight_max
        self.desk = self.new_desk()

    def new_desk(self) -> Desk:
        """A second worker's desk over the same queue and store."""
        policy = DeliveryPolicy(
            visibility_timeout_s=60,
            lease_s=LEASE_S,
            deadline_s=300,
            attempts_max=self.attempts_max,
            retain_s=86400,
        )
        return Desk(
            queue=self.queue,
            dedupe=self.dedupe,
            handlers={RebillAccounts.TYPE: self.handler},
            policy=policy,
            clock=self.clock,
            metrics=self.metrics,
            gate=Gate({}, self.clock),
            heartbeat=Heartbeat(self.queue, self.dedupe, policy, self.clock, self.metrics),
            tally=Tally(),
            draining=asyncio.Event(),
            linger_s=0.0,
            concurrency=Concurrency(self.in_flight_max, self.in_flight_max),
            jitter=lambda: 1.0,
        )

    def send(self, account: str = "A-1", **kwargs: str) -> str:
        """Put a RebillAccounts for one account into the queue."""
        return self.queue.send(body_for(account, **kwargs), group_id="acme")

    async def receive(self, limit: int = 10) -> list[Received]:
        return list(await self.queue.receive(limit=limit, wait_s=0, visibility_timeout_s=60))

    async def run_once(self, desk: Desk | None = None) -> list[Delivery]:
        """Receive one batch and deliver it."""
        desk = desk or self.desk
        batch = await self.receive()
        desk.tally.received += len(batch)
        return list(await deliver(batch, desk))


def body_for(account: str = "A-1", *, tenant: str = "acme", dedupe_key: str | None = None) -> str:
    """An encoded RebillAccounts for one account."""
    event = RebillAccounts(
        as_of=date(2026, 1, 31),
        accounts=(AccountPeriod(account_id=account, period_start=date(2026, 1, 31)),),
    )
    return encode(wrap(event, tenant=tenant, source="/tests", now=START, dedupe_key=dedupe_key))


def words(deliveries: list[Delivery]) -> list[str]:
    """The outcomes' words, in order."""
    return [delivery.outcome.word for delivery in deliveries if delivery.outcome]
