"""Watching the fleet: queues and processes are read every few seconds, in the background.

Pages never ask AWS for figures; they show the picture that is drawn here, so that a page costs the
same with five queues and with fifty. Nothing is received from any queue. What can't be asked is
shown as a problem, and what was known before stays.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta

from billfleet_contracts import QUEUES
from billfleet_db import Database, deliveries, processes
from billfleet_db.errors import DatabaseError
from billfleet_db.figures import backlog
from billfleet_ops.console.picture import Picture, QueuePicture, WatchedQueue
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.dead_letters import DeadLetters

EVERY_S = 3.0
AGES_EVERY_S = 60.0
BACKLOG_EVERY_S = 15.0
HEARD_WITHIN = timedelta(minutes=2)
ASKED_AT_ONCE = 16
SETBACKS_SHOWN = 12

Ages = Callable[[Sequence[str]], Awaitable[Mapping[str, float]]]


def fleet_queues(stack: str) -> list[WatchedQueue]:
    """Every queue of the catalogue."""
    return [
        WatchedQueue(
            spec.name, spec.physical_name(stack), spec.dlq_physical_name(stack), spec.worker
        )
        for spec in QUEUES.values()
    ]


async def no_ages(_: Sequence[str]) -> Mapping[str, float]:
    """Where nobody can tell how long messages have waited."""
    return {}


class Watch:
    """Draws the picture again and again. `changed` wakes whoever shows it."""

    def __init__(
        self,
        letters: DeadLetters,
        database: Database,
        clock: Clock,
        *,
        stack: str,
        queues: Sequence[WatchedQueue],
        ages: Ages = no_ages,
    ) -> None:
        self.picture = Picture(stack, {one.name: QueuePicture(one) for one in queues})
        self._letters = letters
        self._database = database
        self._clock = clock
        self._ages = ages
        self._ages_at_s: float | None = None
        self._backlog_at_s: float | None = None
        self._changed = asyncio.Event()
        self._asking = asyncio.Semaphore(ASKED_AT_ONCE)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await self._clock.sleep(EVERY_S)

    async def changed(self) -> None:
        """Wait for the next picture."""
        await self._changed.wait()

    async def look(self) -> None:
        """Draw the picture once."""
        problems: list[str] = []
        try:
            await self._look_at_database()
        except DatabaseError as error:
            problems.append(f"The database does not answer: {_first_line(error)}")
        try:
            await self._look_at_queues()
        except Unavailable as error:
            problems.append(f"The queues can't be asked: {error.reason}")
        self.picture.problems = problems
        self.picture.at = self._clock.now()
        self.picture.version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def _look_at_database(self) -> None:
        async with self._database.transaction() as connection:
            since = self._clock.now() - HEARD_WITHIN
            self.picture.put_processes(await processes.processes_since(connection, since))
            self.picture.setbacks = await deliveries.latest_setbacks(connection, SETBACKS_SHOWN)
            if self._is_time(self._backlog_at_s, BACKLOG_EVERY_S):
                self.picture.backlog = await backlog(connection)
                self._backlog_at_s = self._clock.monotonic()

    async def _look_at_queues(self) -> None:
        found = await asyncio.gather(*(self._depths(one) for one in self.picture.queues.values()))
        missing = [name for name in found if name is not None]
        if self._is_time(self._ages_at_s, AGES_EVERY_S):
            await self._look_at_ages()
        if missing:
            raise Unavailable("sqs", f"these do not exist: {', '.join(missing)}")

    async def _depths(self, one: QueuePicture) -> str | None:
        """Take over one queue's depths; its name if it does not exist."""
        async with self._asking:
            own = await self._letters.describe(one.own.url if one.own else one.queue.physical_name)
            dead = await self._letters.describe(
                one.dead.url if one.dead else one.queue.dlq_physical_name
            )
        self.picture.put_queue(one.queue.name, own, dead, self._clock.now())
        return one.queue.physical_name if own is None else None

    async def _look_at_ages(self) -> None:
        names = [
            name
            for one in self.picture.queues.values()
            for name in (one.queue.physical_name, one.queue.dlq_physical_name)
        ]
        ages = await self._ages(names)
        for one in self.picture.queues.values():
            one.oldest_waiting_age_s = ages.get(one.queue.physical_name)
            one.oldest_dead_age_s = ages.get(one.queue.dlq_physical_name)
        self._ages_at_s = self._clock.monotonic()

    def _is_time(self, last_s: float | None, every_s: float) -> bool:
        return last_s is None or self._clock.monotonic() - last_s >= every_s


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["no message"])[0]
