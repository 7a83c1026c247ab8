"""Taking messages out of a dead-letter queue without replaying them: into a file, or for good.

`export` copies, `purge` deletes after it has copied: what was purged by mistake is in a file and
comes back with `import`. Both go through the queue in one pass and hold one batch in memory.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

from billfleet_ops.replay.addressing import AddressBook
from billfleet_ops.replay.filters import Filter
from billfleet_ops.replay.lines import line_of
from billfleet_ops.replay.reading import Reading, read
from billfleet_ops.replay.scan import Scan, hidden_s_for
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.ports.dead_letters import DeadLetters, DeadMessage, QueueFacts
from billfleet_workers.runtime.ports.dedupe import DedupeStore


@dataclass
class Taken:
    """How many were seen, were meant, and were deleted."""

    looked_at: int = 0
    meant: int = 0
    deleted: int = 0


@dataclass(frozen=True)
class DoneOnly:
    """Only messages whose work is recorded as done, with this very payload."""

    dedupe: DedupeStore
    book: AddressBook

    async def choose(self, readings: Sequence[Reading]) -> list[Reading]:
        """Those that are done."""
        keys: dict[str, str] = {}
        for one in readings:
            address = self.book.find(one)
            if address and one.envelope and (key := address.key_of(one.envelope)):
                keys[one.id] = key
        distinct = sorted(set(keys.values()))
        records = dict(zip(distinct, await self.dedupe.read(distinct), strict=True))
        chosen = []
        for one in readings:
            record = records.get(keys.get(one.id, ""))
            if record and record.completed_at and record.payload_hash == one.payload_hash:
                chosen.append(one)
        return chosen


async def take(
    letters: DeadLetters,
    queue: QueueFacts,
    clock: Clock,
    meant: Filter,
    *,
    into: IO[str] | None,
    deletes: bool,
    done_only: DoneOnly | None = None,
    progress: Callable[[Taken], None] = lambda _: None,
) -> Taken:
    """One pass: write the lines of those that are meant, then delete them if that is asked."""
    taken = Taken()
    hidden_s = hidden_s_for(queue.waiting)
    async with Scan(
        letters, queue.url, clock=clock, hidden_s=hidden_s, expected=queue.waiting
    ) as scan:
        while batch := await scan.next_batch():
            now = clock.now()
            chosen = [one for one in map(read, batch) if meant.matches(one, now)]
            if done_only is not None:
                chosen = await done_only.choose(chosen)
            if into is not None:
                _write(chosen, queue.arn, into, is_forced=deletes)
            deleted = await _delete(letters, queue.url, chosen) if deletes else set()
            scan.keep(one for one in batch if one.message_id not in deleted)
            taken.looked_at += len(batch)
            taken.meant += len(chosen)
            taken.deleted += len(deleted)
            progress(taken)
    return taken


def _write(chosen: Sequence[Reading], arn: str, into: IO[str], *, is_forced: bool) -> None:
    into.writelines(line_of(one, arn) + "\n" for one in chosen)
    if is_forced and chosen:
        # What is deleted next must be on the disk before.
        into.flush()
        os.fsync(into.fileno())


async def _delete(letters: DeadLetters, url: str, chosen: Sequence[Reading]) -> set[str]:
    messages: list[DeadMessage] = [one.message for one in chosen]
    answers = await letters.delete(url, [one.receipt_handle for one in messages])
    return {
        one.message_id for one, failure in zip(messages, answers, strict=True) if failure is None
    }
