"""A bounded look into a queue: ages and groups, handed back at once.

`list` shows it. A look raises the receive count of what it sees by one; nothing else changes, and
a dead-letter queue has no redrive of its own by which that could matter (`list` says so where one
has). A queue is looked into in one pass, and at most `limit` messages of it.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from billfleet_ops.replay.reading import Reading, read
from billfleet_ops.replay.scan import BATCH, Scan
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.ports.dead_letters import DeadLetters, QueueFacts

HIDDEN_S = 30


@dataclass
class Group:
    """Messages that failed alike."""

    fingerprint: str
    reason: str
    error_class: str
    count: int = 0
    oldest_at: datetime | None = None
    contracts: Counter[str] = field(default_factory=Counter)
    tenants: Counter[str] = field(default_factory=Counter)
    example_id: str = ""


@dataclass
class Peek:
    """What a look into one queue showed."""

    queue: QueueFacts
    looked_at: int = 0
    groups: dict[str, Group] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether every message was seen."""
        return self.looked_at >= self.queue.waiting

    @property
    def oldest_at(self) -> datetime | None:
        """The oldest first-seen time among those that were looked at."""
        return min((one.oldest_at for one in self.groups.values() if one.oldest_at), default=None)

    def add(self, reading: Reading) -> None:
        """Put a message into its group."""
        self.looked_at += 1
        group = self.groups.setdefault(
            reading.fingerprint,
            Group(reading.fingerprint, reading.reason, reading.error_class, example_id=reading.id),
        )
        group.count += 1
        if group.oldest_at is None or reading.first_seen_at < group.oldest_at:
            group.oldest_at = reading.first_seen_at
        group.contracts[reading.contract or "unknown"] += 1
        group.tenants[reading.tenant or "unknown"] += 1


async def peek(letters: DeadLetters, queue: QueueFacts, clock: Clock, *, limit: int) -> Peek:
    """Look at up to `limit` messages."""
    seen = Peek(queue)
    if queue.waiting == 0:
        return seen
    async with Scan(
        letters, queue.url, clock=clock, hidden_s=HIDDEN_S, expected=queue.waiting
    ) as scan:
        while seen.looked_at < min(limit, queue.waiting):
            batch = await scan.next_batch(min(BATCH, limit - seen.looked_at))
            if not batch:
                break
            scan.keep(batch)
            for message in batch:
                seen.add(read(message))
    return seen
