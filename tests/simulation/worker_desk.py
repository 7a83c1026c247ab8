"""Laying a worker's desk in a simulated world: the real runtime over simulated ports.

What `main` does in production. Planted bugs take a part's place through `Parts`.
"""

import asyncio
import itertools
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from billfleet_contracts import RebillAccounts
from billfleet_workers.adapters.dynamodb import DynamoDedupeStore
from billfleet_workers.adapters.silent_metrics import SilentMetrics
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.concurrency import Concurrency
from billfleet_workers.runtime.desk import Desk
from billfleet_workers.runtime.gate import Gate
from billfleet_workers.runtime.heartbeat import Heartbeat
from billfleet_workers.runtime.policy import DeliveryPolicy
from billfleet_workers.runtime.ports.dedupe import ClaimAnswer, ClaimRequest, DedupeStore
from billfleet_workers.runtime.ports.queue import Queue
from billfleet_workers.runtime.tally import Tally
from simulation.effects import Database, SimulatedBatchHandler, SimulatedHandler
from simulation.judge import Judge
from simulation.network import Network
from simulation.plan import EventPlan, Plan
from simulation.queue_client import QueueClient
from simulation.seeded_loop import Process, SeededLoop
from simulation.sim_dedupe import DedupeClient, DedupeTable
from simulation.sim_dynamodb import DynamoClient, DynamoTable
from simulation.sim_queue import START, SimulatedQueue


class WorkerClock:
    """The loop's time, with this worker's error."""

    def __init__(self, loop: SeededLoop, skew_s: float) -> None:
        self._loop = loop
        self._skew_s = skew_s

    def now(self) -> datetime:
        return START + timedelta(seconds=self._loop.time() + self._skew_s)

    def monotonic(self) -> float:
        return self._loop.time()

    def sleep(self, seconds: float) -> Coroutine[Any, Any, None]:
        return asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a world is made of, where a planted bug may take a part's place."""

    table: type[DedupeTable] = DedupeTable
    heartbeat: type[Heartbeat] = Heartbeat
    tally: type[Tally] = Tally
    queue: Callable[[QueueClient], Queue] = lambda client: client
    dedupe: Callable[[DedupeStore], DedupeStore] = lambda client: client


class WatchedStore(DynamoDedupeStore):
    """The real store over the simulated DynamoDB; the judge hears what it answers."""

    judge: Judge
    process: Process

    async def claim(self, requests: Sequence[ClaimRequest]) -> Sequence[ClaimAnswer]:
        asked_s = self.judge.time_s()
        answers = await super().claim(requests)
        for request, answer in zip(requests, answers, strict=True):
            self.judge.answered(self.process, request, answer, asked_s)
        return answers


@dataclass(frozen=True, slots=True)
class Services:
    """What all workers of a world share."""

    plan: Plan
    parts: Parts
    loop: SeededLoop
    chance: random.Random
    judge: Judge
    network: Network
    queue: SimulatedQueue
    table: DedupeTable
    items: DynamoTable
    database: Database
    events: dict[str, EventPlan]
    calls: dict[int, int]
    tokens: "itertools.count[int]"


def lay_desk(services: Services, process: Process, skew_s: float) -> Desk:
    """A desk for one process."""
    plan = services.plan
    clock = WorkerClock(services.loop, skew_s)
    queue = services.parts.queue(QueueClient(services.queue, process))
    dedupe = services.parts.dedupe(_store(services, process, clock))
    policy = DeliveryPolicy(
        visibility_timeout_s=int(plan.lease_s),
        lease_s=plan.lease_s,
        deadline_s=plan.deadline_s,
        attempts_max=plan.attempts_max,
        retain_s=plan.retain_s,
        backoff_base_s=0.5,
        backoff_cap_s=8.0,
    )
    metrics = SilentMetrics()
    kind = SimulatedBatchHandler if plan.batch_max else SimulatedHandler
    handler = kind(
        process, services.database, clock, services.judge, services.events, services.calls
    )
    if isinstance(handler, SimulatedBatchHandler):
        handler.batch_max = plan.batch_max
    return Desk(
        queue=queue,
        dedupe=dedupe,
        handlers={RebillAccounts.TYPE: handler},
        policy=policy,
        clock=clock,
        metrics=metrics,
        gate=Gate({}, clock),
        heartbeat=services.parts.heartbeat(queue, dedupe, policy, clock, metrics),
        tally=services.parts.tally(),
        draining=asyncio.Event(),
        concurrency=Concurrency(min(2, plan.ceiling), plan.ceiling),
        fifo=plan.fifo,
        tenant_max=plan.tenant_max,
        linger_s=plan.linger_s,
        gather_s=plan.gather_s,
        jitter=services.chance.random,
        new_token=lambda: f"t{next(services.tokens)}",
    )


def _store(services: Services, process: Process, clock: Clock) -> DedupeStore:
    if services.plan.store == "model":
        return DedupeClient(services.table, process, services.network, clock)
    client: Any = DynamoClient(services.items, process, services.network)
    store = WatchedStore(client, stack="simulated", clock=clock)
    store.judge, store.process = services.judge, process
    return store
