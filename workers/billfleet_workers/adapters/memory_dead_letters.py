"""The dead-letters port in memory, for tests of replay; yours too.

Queues by name, their URLs are `memory://<name>`. It keeps what matters of SQS: visibility by the
clock, receive counts, handles that go stale, FIFO groups that wait for their first message, and
deduplication ids. `faults` makes it fail on request. It must not know what a body says.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from billfleet_workers.adapters.memory_faults import Faults
from billfleet_workers.adapters.memory_queue import STALE
from billfleet_workers.adapters.message_form import SQS_BYTES_MAX
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Misconfigured
from billfleet_workers.runtime.ports.dead_letters import Copy, DeadMessage, QueueFacts
from billfleet_workers.runtime.ports.queue import EntryFailure, Hiding

SCHEME = "memory://"
TOO_LONG = EntryFailure("MessageTooLong", "a queue takes at most 1 MiB", retriable=False)


@dataclass(slots=True)
class _Stored:
    message_id: str
    copy: Copy
    sent_at: datetime
    visible_at_s: float
    source_arn: str | None
    receive_count: int = 0
    receipt_handle: str | None = None


@dataclass(slots=True)
class _Queue:
    redrives_to: str | None = None
    stored: list[_Stored] = field(default_factory=list)
    deduplicated: set[str] = field(default_factory=set)


class MemoryDeadLetters:
    """Some queues. Make each with `create`."""

    def __init__(self, clock: Clock) -> None:
        self.faults = Faults("queues in memory")
        self._clock = clock
        self._queues: dict[str, _Queue] = {}
        self._numbers = itertools.count(1)

    def create(self, name: str, *, redrives_to: str | None = None) -> str:
        """Make a queue and return its URL; `redrives_to` is the name of its own DLQ."""
        self._queues[name] = _Queue(redrives_to)
        return SCHEME + name

    def put(self, url: str, copy: Copy, *, source: str | None = None) -> str:
        """Put a message in and return its id; `source`: the queue that SQS moved it from."""
        message_id = f"m-{next(self._numbers)}"
        now_s, arn = self._clock.monotonic(), _arn(source) if source else None
        self._at(url).stored.append(_Stored(message_id, copy, self._clock.now(), now_s, arn))
        return message_id

    def copies(self, url: str) -> list[Copy]:
        """What stands in a queue, hidden or not."""
        return [one.copy for one in self._at(url).stored]

    def visible(self, url: str) -> int:
        """How many could be received now."""
        now_s = self._clock.monotonic()
        return sum(one.visible_at_s <= now_s for one in self._at(url).stored)

    async def describe(self, queue: str) -> QueueFacts | None:
        """Look a queue up, and count."""
        self.faults.before()
        name = queue.removeprefix(SCHEME).rpartition(":")[2]
        found = self._queues.get(name)
        if found is None:
            return None
        url = SCHEME + name
        target = _arn(found.redrives_to) if found.redrives_to else None
        waiting = self.visible(url)
        in_flight = len(found.stored) - waiting
        is_fifo = name.endswith(".fifo")
        return QueueFacts(url, name, _arn(name), is_fifo, waiting, in_flight, target)

    async def sources(self, url: str) -> Sequence[str]:
        """Who redrives here."""
        self.faults.before()
        name = url.removeprefix(SCHEME)
        return [SCHEME + other for other, one in self._queues.items() if one.redrives_to == name]

    async def receive(
        self,
        url: str,
        *,
        limit: int,
        wait_s: float,  # noqa: ARG002 - nothing arrives while one waits
        visibility_timeout_s: int,
    ) -> Sequence[DeadMessage]:
        """Up to ten visible messages, oldest first."""
        self.faults.before()
        now_s = self._clock.monotonic()
        taken = self._receivable(url)[: min(max(limit, 1), 10)]
        for one in taken:
            one.receive_count += 1
            one.receipt_handle = f"{one.message_id}#{next(self._numbers)}"
            one.visible_at_s = now_s + visibility_timeout_s
        self.faults.after("receive")
        return [_received(one) for one in taken]

    def _receivable(self, url: str) -> list[_Stored]:
        now_s = self._clock.monotonic()
        stored = self._at(url).stored
        busy = {one.copy.group_id for one in stored if one.visible_at_s > now_s}
        is_held = busy if url.endswith(".fifo") else set()
        return [
            one for one in stored if one.visible_at_s <= now_s and one.copy.group_id not in is_held
        ]

    async def send(self, url: str, copies: Sequence[Copy]) -> Sequence[EntryFailure | None]:
        """Put copies in."""
        self.faults.before()
        answers = [self._send(url, copy) for copy in copies]
        self.faults.after("send")
        return answers

    def _send(self, url: str, copy: Copy) -> EntryFailure | None:
        failure = self.faults.entry("send")
        if failure is None and copy.size_bytes > SQS_BYTES_MAX:
            failure = TOO_LONG
        seen = self._at(url).deduplicated
        if failure is None and copy.deduplication_id not in seen:
            self.put(url, copy)
            if copy.deduplication_id is not None:
                seen.add(copy.deduplication_id)
        return failure

    async def hide(self, url: str, hidings: Sequence[Hiding]) -> Sequence[EntryFailure | None]:
        """Change visibility timeouts, counted from now."""
        self.faults.before()
        answers: list[EntryFailure | None] = []
        for hiding in hidings:
            failure, found = self.faults.entry("hide"), self._find(url, hiding.receipt_handle)
            if failure is None and found is not None:
                found.visible_at_s = self._clock.monotonic() + max(hiding.visible_in_s, 0)
            answers.append(failure or (STALE if found is None else None))
        self.faults.after("hide")
        return answers

    async def delete(
        self, url: str, receipt_handles: Sequence[str]
    ) -> Sequence[EntryFailure | None]:
        """Delete by the latest handle."""
        self.faults.before()
        answers: list[EntryFailure | None] = []
        for handle in receipt_handles:
            failure, found = self.faults.entry("delete"), self._find(url, handle)
            if failure is None and found is not None:
                self._at(url).stored.remove(found)
            answers.append(failure or (STALE if found is None else None))
        self.faults.after("delete")
        return answers

    async def close(self) -> None:
        """Nothing to let go of."""

    def _at(self, url: str) -> _Queue:
        found = self._queues.get(url.removeprefix(SCHEME))
        if found is None:
            raise Misconfigured(url, "it does not exist")
        return found

    def _find(self, url: str, receipt_handle: str) -> _Stored | None:
        matching = (one for one in self._at(url).stored if one.receipt_handle == receipt_handle)
        return next(matching, None)


def _arn(name: str) -> str:
    return f"arn:memory:sqs:here:0:{name}"


def _received(one: _Stored) -> DeadMessage:
    return DeadMessage(
        message_id=one.message_id,
        receipt_handle=one.receipt_handle or "",
        body=one.copy.body,
        receive_count=one.receive_count,
        sent_at=one.sent_at,
        group_id=one.copy.group_id,
        source_arn=one.source_arn,
        attributes=dict(one.copy.attributes),
    )
