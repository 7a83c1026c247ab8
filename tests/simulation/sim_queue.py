"""A simulated SQS queue with its dead-letter queue: what AWS promises, and nothing more.

Workers reach it through `queue_client`. At-least-once, in any order,
visibility by the clock, receipt handles that go stale, FIFO groups that block, redrive by receive
count, entries that fail one by one. It tells the judge what it did; it judges nothing.
"""

import itertools
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from billfleet_workers.runtime.ports.queue import Burial, EntryFailure, Hiding, Received
from simulation.network import THE_WORLD, Network
from simulation.plan import Plan
from simulation.seeded_loop import Process, SeededLoop

if TYPE_CHECKING:
    from simulation.judge import Judge

NAME = "rebill"
START = datetime(2026, 1, 31, 12, tzinfo=UTC)
THROTTLED = EntryFailure("ThrottlingException", "this entry was throttled", retriable=True)
STALE = EntryFailure("ReceiptHandleIsInvalid", "the receipt handle is not valid", retriable=False)


@dataclass(slots=True, eq=False)
class Stored:
    """A message in the queue."""

    number: int
    message_id: str
    body: str
    group_id: str
    sent_at_s: float
    visible_at_s: float
    receive_count: int = 0
    handle: str = ""
    holder: Process | None = None
    is_gone: bool = False
    was_doubled: bool = False


@dataclass(frozen=True, slots=True)
class Dead:
    """A message in the dead-letter queue. `reason` is empty where its receive count moved it."""

    message_id: str
    body: str
    reason: str
    attempt: int


@dataclass(slots=True)
class Poll:
    process: Process
    limit: int
    visibility_s: float
    until_s: float
    reply: Callable[[list[Received]], None]
    is_over: bool = False


@dataclass(slots=True)
class SimulatedQueue:
    """One queue, standard or FIFO, and where its dead letters lie."""

    plan: Plan
    loop: SeededLoop
    chance: random.Random
    network: Network
    judge: "Judge"
    messages: list[Stored] = field(default_factory=list)
    by_handle: dict[str, Stored] = field(default_factory=dict)
    dead: list[Dead] = field(default_factory=list)
    polls: list[Poll] = field(default_factory=list)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    wakes_at_s: float = float("inf")

    def send(self, body: str, group_id: str, delay_s: float) -> Stored:
        """Accept a message."""
        number = next(self.numbers)
        now_s = self.loop.time()
        one = Stored(number, f"m{number}", body, group_id, now_s, now_s + delay_s)
        self.messages.append(one)
        self.serve()
        return one

    def poll(self, poll: Poll) -> None:
        """A receive has arrived: it is answered when there is something, or when it is over."""
        self.polls.append(poll)
        self.loop.call_at(poll.until_s, self._end, poll, context=THE_WORLD)
        self.serve()

    def serve(self) -> None:
        """Hand what is visible to who waits for it."""
        if not self.polls:
            return
        for poll in list(self.polls):
            if poll.process.is_dead:
                self._close(poll)
            elif batch := self._take(poll):
                self._close(poll)
                poll.reply(batch)
        self._wake_when_something_shows()

    def _end(self, poll: Poll) -> None:
        if not poll.is_over:
            self._close(poll)
            poll.reply([])

    def _close(self, poll: Poll) -> None:
        poll.is_over = True
        self.polls.remove(poll)

    def _wake_when_something_shows(self) -> None:
        now_s = self.loop.time()
        shown_at_s = min(
            (m.visible_at_s for m in self.messages if m.visible_at_s > now_s), default=0
        )
        if self.polls and shown_at_s and not now_s < self.wakes_at_s <= shown_at_s:
            self.wakes_at_s = shown_at_s
            self.loop.call_at(shown_at_s, self.serve, context=THE_WORLD)

    def _take(self, poll: Poll) -> list[Received]:
        now_s = self.loop.time()
        self._redrive(now_s)
        visible = [m for m in self.messages if m.visible_at_s <= now_s]
        if not visible:
            return []
        if self.plan.fifo:
            visible = self._in_group_order(visible, now_s)
        elif self.plan.is_shuffled:
            self.chance.shuffle(visible)
        limit = min(poll.limit, 10)
        if limit > 1 and self.chance.random() < 0.3:
            limit = self.chance.randint(1, limit)
        return [self._hand_out(m, poll, now_s) for m in visible[:limit]]

    def _in_group_order(self, visible: list[Stored], now_s: float) -> list[Stored]:
        blocked = {m.group_id for m in self.messages if m.receive_count and m.visible_at_s > now_s}
        groups: dict[str, list[Stored]] = {}
        for one in visible:
            if one.group_id not in blocked:
                groups.setdefault(one.group_id, []).append(one)
        names = list(groups)
        self.chance.shuffle(names)
        return [one for name in names for one in groups[name]]

    def _hand_out(self, one: Stored, poll: Poll, now_s: float) -> Received:
        self.judge.handed_out(one, poll.process)
        one.receive_count += 1
        one.handle = f"{one.message_id}#{one.receive_count}"
        one.holder = poll.process
        one.visible_at_s = now_s + poll.visibility_s
        self.by_handle[one.handle] = one
        if not self.plan.fifo and self.network.fault("queue", "receive", "twice"):
            # At least once: some server of the queue did not hear that it was taken.
            one.visible_at_s = now_s + self.chance.choice((0.0, 0.1, 2.0))
            one.was_doubled = True
        self.judge.story.tell(poll.process.name, "receives", f"{one.handle} {one.body[:0]}")
        return Received(
            message_id=one.message_id,
            receipt_handle=one.handle,
            body=one.body,
            receive_count=one.receive_count,
            sent_at=START + timedelta(seconds=one.sent_at_s),
            group_id=one.group_id,
            attributes={},
        )

    def _redrive(self, now_s: float) -> None:
        for one in list(self.messages):
            if one.receive_count >= self.plan.max_receive_count and one.visible_at_s <= now_s:
                self._remove(one)
                self.dead.append(Dead(one.message_id, one.body, "", one.receive_count))
                self.judge.story.tell("queue", "redrives", one.message_id)

    def _remove(self, one: Stored) -> None:
        one.is_gone = True
        self.messages.remove(one)

    def delete(self, handle: str, process: Process) -> EntryFailure | None:
        """Delete a message by its latest handle."""
        one = self.by_handle[handle]
        if self.network.fault("queue", "delete", "entries"):
            return THROTTLED
        is_lapsed = self.plan.fifo and one.visible_at_s <= self.loop.time()
        if one.is_gone or one.handle != handle or is_lapsed:
            # A stale handle may answer success without deleting.
            return None if self.chance.random() < 0.5 else STALE
        self.judge.deleting(one, process)
        self._remove(one)
        self.serve()
        return None

    def hide(self, hiding: Hiding, process: Process) -> EntryFailure | None:
        """Change a message's visibility timeout."""
        one = self.by_handle[hiding.receipt_handle]
        if self.network.fault("queue", "hide", "entries"):
            process.disturbed_at_s = self.loop.time()
            return THROTTLED
        if one.is_gone or one.handle != hiding.receipt_handle:
            return None if self.chance.random() < 0.5 else STALE
        if one.visible_at_s <= self.loop.time():
            return EntryFailure("MessageNotInflight", "it is visible already", retriable=False)
        self.judge.hiding(one, hiding.visible_in_s, process)
        one.visible_at_s = self.loop.time() + hiding.visible_in_s
        self.serve()
        return None

    def bury(self, burial: Burial, process: Process) -> EntryFailure | None:
        """Send to the dead-letter queue."""
        if self.network.fault("queue", "bury", "entries"):
            return THROTTLED
        attributes: Mapping[str, str] = burial.attributes
        self.dead.append(
            Dead(
                burial.message_id,
                burial.body,
                attributes.get("reason", ""),
                int(attributes.get("attempt", "0")),
            )
        )
        return None
