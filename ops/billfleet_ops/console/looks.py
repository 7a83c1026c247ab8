"""Looks into dead-letter queues, made when somebody asks, and kept for the pages.

A look receives messages, hides them while it lasts and hands them back, like `replay-dlq list`; it
takes nothing out. It goes on in the background while the page says how far it is. Groups are of
all that was looked at; messages themselves are kept up to a bound.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from billfleet_ops.replay.filters import Filter
from billfleet_ops.replay.peek import Peek
from billfleet_ops.replay.reading import Reading, read
from billfleet_ops.replay.scan import BATCH, Scan, hidden_s_for
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.dead_letters import DeadLetters, NotAllowed, QueueFacts

FIRST_MAX = 1_000
"""How many a first look takes; a longer one is asked for."""
KEPT_MAX = 5_000
KEPT_BYTES_MAX = 48 * 1024 * 1024
PASSES = 4


@dataclass
class Look:
    """What a look into one queue has shown so far."""

    queue: QueueFacts
    begun_at: datetime
    limit: int
    peek: Peek
    messages: dict[str, Reading] = field(default_factory=dict)
    kept_bytes: int = 0
    ended_at: datetime | None = None
    problem: str | None = None

    @property
    def is_going_on(self) -> bool:
        """Whether it is not over yet."""
        return self.ended_at is None

    @property
    def is_whole(self) -> bool:
        """Whether every message was seen."""
        return self.ended_at is not None and self.peek.looked_at >= self.queue.waiting

    def add(self, reading: Reading) -> None:
        """Group it, and keep it while there is room."""
        self.peek.add(reading)
        size = len(reading.message.body)
        if len(self.messages) < KEPT_MAX and self.kept_bytes + size <= KEPT_BYTES_MAX:
            self.messages[reading.id] = reading
            self.kept_bytes += size

    def matching(self, meant: Filter, now: datetime) -> list[Reading]:
        """Those that are meant, oldest first."""
        found = [one for one in self.messages.values() if meant.matches(one, now)]
        return sorted(found, key=lambda one: (one.first_seen_at, one.id))

    def find(self, name: str) -> Reading | None:
        """The message with this id, original id or event id."""
        if name in self.messages:
            return self.messages[name]
        return next((one for one in self.messages.values() if one.is_called(name)), None)


class Looks:
    """The latest look into each queue, by the queue's name."""

    def __init__(self, letters: DeadLetters, clock: Clock) -> None:
        self._letters = letters
        self._clock = clock
        self._latest: dict[str, Look] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def latest(self) -> Mapping[str, Look]:
        """By queue name."""
        return self._latest

    def begin(self, queue: QueueFacts, limit: int = FIRST_MAX) -> Look:
        """Begin a look, unless one is going on."""
        running = self._latest.get(queue.name)
        if running is not None and running.is_going_on:
            return running
        look = Look(queue, self._clock.now(), limit, Peek(queue))
        self._latest[queue.name] = look
        if queue.redrives_to is not None:
            look.problem = (
                "This queue has a redrive policy of its own. A look counts as a receive, and could "
                "move its messages on, so it was not looked into."
            )
            look.ended_at = self._clock.now()
        else:
            self._tasks[queue.name] = asyncio.create_task(self._look(look))
        return look

    def forget(self, name: str) -> None:
        """What was seen is no longer so."""
        look = self._latest.get(name)
        if look is not None and not look.is_going_on:
            del self._latest[name]

    def find(self, name: str) -> tuple[Look, Reading] | None:
        """A message in any look."""
        for look in self._latest.values():
            if (reading := look.find(name)) is not None:
                return look, reading
        return None

    async def ended(self, name: str) -> None:
        """Wait until the look into this queue is over."""
        if (task := self._tasks.get(name)) is not None:
            await asyncio.wait([task])

    async def close(self) -> None:
        """Stop what is going on; what it held is handed back."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _look(self, look: Look) -> None:
        queue = look.queue
        hidden_s = hidden_s_for(min(queue.waiting, look.limit))
        try:
            async with Scan(
                self._letters,
                queue.url,
                clock=self._clock,
                hidden_s=hidden_s,
                expected=queue.waiting,
            ) as scan:
                count = 1 if queue.is_fifo else PASSES
                async with asyncio.TaskGroup() as passes:
                    for _ in range(count):
                        passes.create_task(self._pass(scan, look))
        except* NotAllowed as refused:
            first = refused.exceptions[0]
            look.problem = str(first)
        except* Unavailable:
            look.problem = "The queue could not be asked."
        finally:
            look.ended_at = self._clock.now()

    @staticmethod
    async def _pass(scan: Scan, look: Look) -> None:
        while look.peek.looked_at < look.limit:
            batch = await scan.next_batch(min(BATCH, look.limit - look.peek.looked_at))
            if not batch:
                return
            scan.keep(batch)
            for message in batch:
                look.add(read(message))
