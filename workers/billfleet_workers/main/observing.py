"""Beats and the backlog watch, wired to tables and queues.

`fleet` runs what is opened here beside its consumers. Rows of the database room are made here, so
that the runtime knows no table.
"""

import asyncio
import os
import secrets
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from billfleet_contracts import QUEUES
from billfleet_db import Database, deliveries, processes
from billfleet_db.figures import calls_for_attention
from billfleet_workers.adapters.sqs_dead_letters import SqsDeadLetters
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.main.shared import Shared
from billfleet_workers.runtime.backlog import BacklogWatch, Depth, Lives
from billfleet_workers.runtime.beats import EVERY_S, Beat, Beats, Identity
from billfleet_workers.runtime.consumer import Consumer
from billfleet_workers.runtime.errors import DeliveryError
from billfleet_workers.runtime.ports.metrics import Gauge
from billfleet_workers.runtime.vitals import Vitals

SILENT_AFTER: Final = timedelta(seconds=EVERY_S * 4)
"""A process that has not been heard for so long is not counted as alive."""
PROCESSES_KEPT: Final = timedelta(days=1)
SETBACKS_KEPT: Final = timedelta(days=14)
DONE_KEPT: Final = timedelta(days=3)
PRUNE_EVERY_BEATS: Final = 360
GOODBYE_S: Final = 3.0


class ProcessTable:
    """Where beats go."""

    def __init__(self, database: Database, identity: Identity) -> None:
        self._database = database
        self._identity = identity
        self._beats = 0

    async def write(self, beat: Beat) -> None:
        """The latest beat, and the deliveries that ended since the one before."""
        async with transaction(self._database) as connection:
            await processes.beat(connection, _process(beat))
            await deliveries.add(connection, _deliveries(beat))
            if self._beats % PRUNE_EVERY_BEATS == 0:
                await processes.prune(connection, before=beat.at - PROCESSES_KEPT)
                await deliveries.prune(
                    connection,
                    setbacks_before=beat.at - SETBACKS_KEPT,
                    done_before=beat.at - DONE_KEPT,
                )
        self._beats += 1

    async def leave(self) -> None:
        """The process ends; if nobody can be told, the silence tells."""
        try:
            async with transaction(self._database) as connection:
                await processes.leave(connection, self._identity.worker_id)
        except DeliveryError:
            return


def open_beats(
    shared: Shared, names: Sequence[str], vitals: Vitals, consumers: Sequence[Consumer]
) -> tuple[Beats, ProcessTable]:
    """The beats of this process, and the table that they go to."""
    identity = _identity(shared, names)
    table = ProcessTable(shared.upkeep, identity)
    return Beats(identity, vitals, consumers, shared.clock, shared.metrics, table.write), table


async def say_goodbye(beats: Beats, table: ProcessTable) -> None:
    """The last beat, with the deliveries of the drain. A database that is away holds up nobody."""
    with suppress(TimeoutError):
        async with asyncio.timeout(GOODBYE_S):
            await beats.beat()
            await table.leave()


async def open_backlog_watch(shared: Shared) -> BacklogWatch:
    """The watch that runs beside the relay."""
    queues = await SqsDeadLetters.open(shared.clients, pool_size=4)
    shared.closing.push_async_callback(queues.close)
    stack = shared.settings.stack

    async def depths() -> list[Depth]:
        found = []
        for spec in QUEUES.values():
            own = await queues.describe(spec.physical_name(stack))
            dead = await queues.describe(spec.dlq_physical_name(stack))
            found.append(
                Depth(spec.name, own.waiting if own else None, dead.waiting if dead else None)
            )
        return found

    async def lives() -> Mapping[str, Lives]:
        async with transaction(shared.upkeep) as connection:
            since = shared.clock.now() - SILENT_AFTER
            return lives_by_queue(await processes.processes_since(connection, since))

    async def figures() -> Mapping[Gauge, float]:
        async with transaction(shared.upkeep) as connection:
            calls = await calls_for_attention(connection)
        return {
            "attempts_for_a_human": calls.attempts_for_a_human,
            "accounts_parked": calls.accounts_parked,
        }

    return BacklogWatch(depths, lives, figures, shared.clock, shared.metrics)


def lives_by_queue(alive: Sequence[processes.Process]) -> dict[str, Lives]:
    """How many processes read each queue, and what they have finished."""
    count: Counter[str] = Counter()
    finished: Counter[str] = Counter()
    for process in alive:
        for queue in process.detail.get("queues", ()):
            tally = queue["tally"]
            count[queue["queue"]] += 1
            finished[queue["queue"]] += tally["completed"] + tally["dead_lettered"]
    return {queue: Lives(count[queue], finished[queue]) for queue in count}


def _identity(shared: Shared, names: Sequence[str]) -> Identity:
    host, pid = socket.gethostname(), os.getpid()
    try:
        release = version("billfleet")
    except PackageNotFoundError:
        release = "checkout"
    worker_id = f"{host}:{pid}:{secrets.token_hex(3)}"
    return Identity(worker_id, host, pid, release, tuple(names), shared.clock.now())


def _process(beat: Beat) -> processes.Process:
    identity = beat.identity
    detail: dict[str, Any] = {
        "memory_bytes": beat.memory_bytes,
        "loop_lag_ms": round(beat.loop_lag_ms, 1),
        "is_draining": beat.is_draining,
        "problems": list(beat.problems),
        "queues": [asdict(queue) for queue in beat.queues],
    }
    return processes.Process(
        worker_id=identity.worker_id,
        host=identity.host,
        pid=identity.pid,
        version=identity.version,
        workers=identity.workers,
        started_at=identity.started_at,
        beat_at=beat.at,
        detail=detail,
    )


def _deliveries(beat: Beat) -> list[deliveries.Delivery]:
    worker_id = beat.identity.worker_id
    return [
        deliveries.Delivery(
            at=one.at,
            queue=one.queue,
            message_id=one.message_id,
            event_id=one.event_id,
            event_type=one.event_type,
            tenant_id=one.tenant,
            source=one.source,
            dedupe_key=one.dedupe_key,
            outcome=one.outcome,
            note=one.note,
            error_class=one.error_class,
            receive_count=one.receive_count,
            handle_ms=one.handle_ms,
            worker_id=worker_id,
        )
        for one in beat.ended
    ]
