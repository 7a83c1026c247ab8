"""A dead-letter queue of 100,000 messages: looked into, planned, replayed; time and memory.

    python bench/long_dlq.py [--messages 100000]

The queue is in memory and answers at once, with SQS's rules of visibility; so the time is our own
work, to which each receive, send and delete of ten messages adds its round trip. An embedded AWS
endpoint at that depth measures itself.
"""

import argparse
import asyncio
import itertools
import resource
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from billfleet_contracts import AccountPeriod, RebillAccounts, encode, wrap
from billfleet_ops.console.looks import Looks
from billfleet_ops.replay.addressing import Address, AddressBook
from billfleet_ops.replay.journal import Journal
from billfleet_ops.replay.pace import Pace
from billfleet_ops.replay.run import Replayer, Request, Tools
from billfleet_workers.adapters.memory_dedupe import MemoryDedupeStore
from billfleet_workers.runtime.clock import SystemClock
from billfleet_workers.runtime.ports.dead_letters import Copy, DeadMessage, QueueFacts
from billfleet_workers.runtime.ports.queue import EntryFailure, Hiding

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class LongQueue:
    """One dead-letter queue whose receives cost the same at any depth."""

    def __init__(self, bodies: Sequence[str]) -> None:
        self._bodies = bodies
        self._visible = deque(range(len(bodies)))
        self._hidden: dict[str, int] = {}
        self._numbers = itertools.count()
        self.sent = 0

    @property
    def depth(self) -> int:
        """What stands in it."""
        return len(self._visible) + len(self._hidden)

    def facts(self) -> QueueFacts:
        """As SQS would say."""
        return QueueFacts(
            "url", "q-dlq", "arn", is_fifo=False, waiting=len(self._visible), in_flight=0
        )

    async def describe(self, queue: str) -> QueueFacts | None:
        """This queue."""
        del queue
        return self.facts()

    async def sources(self, url: str) -> Sequence[str]:
        """None."""
        del url
        return ()

    async def receive(
        self, url: str, *, limit: int, wait_s: float, visibility_timeout_s: int
    ) -> Sequence[DeadMessage]:
        """The next ten."""
        del url, wait_s, visibility_timeout_s
        await asyncio.sleep(0)
        taken = [self._visible.popleft() for _ in range(min(limit, 10, len(self._visible)))]
        messages = []
        for number in taken:
            handle = f"h-{next(self._numbers)}"
            self._hidden[handle] = number
            messages.append(DeadMessage(f"m-{number}", handle, self._bodies[number], 1, NOW))
        return messages

    async def send(self, url: str, copies: Sequence[Copy]) -> Sequence[EntryFailure | None]:
        """Count them."""
        del url
        self.sent += len(copies)
        return [None] * len(copies)

    async def hide(self, url: str, hidings: Sequence[Hiding]) -> Sequence[EntryFailure | None]:
        """Hand back."""
        del url
        for hiding in hidings:
            number = self._hidden.pop(hiding.receipt_handle, None)
            if number is not None:
                self._visible.append(number)
        return [None] * len(hidings)

    async def delete(
        self, url: str, receipt_handles: Sequence[str]
    ) -> Sequence[EntryFailure | None]:
        """Take out."""
        del url
        for handle in receipt_handles:
            self._hidden.pop(handle, None)
        return [None] * len(receipt_handles)

    async def close(self) -> None:
        """Nothing to let go of."""


def memory_mib() -> float:
    """The most that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def bodies(count: int) -> list[str]:
    """Requests as producers send them."""
    made = []
    for number in range(count):
        period = AccountPeriod(account_id=f"A-{number}", period_start=NOW.date())
        event = RebillAccounts(as_of=NOW.date(), accounts=(period,))
        made.append(encode(wrap(event, tenant="acme", source="/bench", now=NOW)))
    return made


async def measure(count: int, home: Path) -> None:
    """Look, plan, replay."""
    queue, clock = LongQueue(bodies(count)), SystemClock()
    print(f"{count:,} messages; {memory_mib():.0f} MiB before")
    looks = Looks(queue, clock)
    started_s = time.monotonic()
    look = looks.begin(queue.facts(), limit=count)
    await looks.ended("q-dlq")
    print(
        f"look at all: {time.monotonic() - started_s:.1f} s, {look.peek.looked_at:,} seen, "
        f"{len(look.messages):,} kept, {memory_mib():.0f} MiB"
    )
    assert queue.depth == count
    address = Address("home", "q", is_fifo=False, fleet_name="rebill")
    book = AddressBook(None, {}, [address])
    for acts in (False, True):
        with closing(Journal.open(home, "q-dlq", "url")) as journal:
            tools = Tools(queue, MemoryDedupeStore(clock), journal, clock)
            request = Request("run", queue.facts(), book, acts=acts)
            started_s = time.monotonic()
            report = await Replayer(tools, request, pace=Pace(None, clock)).run()
        took_s = time.monotonic() - started_s
        assert report.looked_at == count, report.looked_at
        print(
            f"{'replay' if acts else 'plan'}: {took_s:.1f} s, {count / took_s:,.0f} a second, "
            f"{memory_mib():.0f} MiB"
        )
    assert (queue.sent, queue.depth) == (count, 0)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--messages", type=int, default=100_000)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-long-dlq-") as home:
        asyncio.run(measure(asked.messages, Path(home)))


if __name__ == "__main__":
    main()
