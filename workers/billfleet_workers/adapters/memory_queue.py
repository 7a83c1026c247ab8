"""The queue port in memory, for tests and simulations of workers; yours too.

It keeps what matters of SQS: visibility timeouts by the clock, receive counts, receipt handles
that go stale with the next receive, long polls that wake when a message comes, and a dead-letter
queue that both `bury` and the receive count fill. `faults` makes it fail on request. It must not
know what a body says.
"""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from billfleet_workers.adapters.memory_faults import Faults
from billfleet_workers.adapters.message_form import SQS_BYTES_MAX, clean_attributes
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.ports.queue import Burial, EntryFailure, Hiding, Received

STALE = EntryFailure("ReceiptHandleIsInvalid", "a later receive took its place", retriable=False)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message in the dead-letter queue. `redriven`: by its receive count, not by `bury`."""

    body: str
    attributes: Mapping[str, str]
    group_id: str | None
    redriven: bool


@dataclass(slots=True)
class _Stored:
    message_id: str
    body: str
    attributes: Mapping[str, str]
    group_id: str | None
    sent_at: datetime
    visible_at_s: float
    receive_count: int = 0
    receipt_handle: str | None = field(default=None)


class MemoryQueue:
    """One queue and its dead-letter queue."""

    def __init__(self, name: str, clock: Clock, *, max_receive_count: int = 10) -> None:
        self.faults = Faults(f"queue {name} in memory")
        self.dead_letters: list[DeadLetter] = []
        self._name = name
        self._clock = clock
        self._max_receive_count = max_receive_count
        self._messages: list[_Stored] = []
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()

    @property
    def name(self) -> str:
        """The catalogue's name of the queue."""
        return self._name

    @property
    def depth(self) -> int:
        """Messages that are neither deleted nor dead, hidden ones included."""
        return len(self._messages)

    @property
    def in_flight(self) -> int:
        """Messages that were received and are hidden."""
        now_s = self._clock.monotonic()
        return sum(1 for one in self._messages if one.receive_count and one.visible_at_s > now_s)

    def send(
        self,
        body: str,
        *,
        group_id: str | None = None,
        attributes: Mapping[str, str] | None = None,
        delay_s: float = 0.0,
    ) -> str:
        """Put a message in, wake the pollers, return its id."""
        message_id = f"{self._name}-{next(self._numbers)}"
        self._messages.append(
            _Stored(
                message_id,
                body,
                dict(attributes or {}),
                group_id,
                self._clock.now(),
                self._clock.monotonic() + delay_s,
            )
        )
        self._wake()
        return message_id

    async def receive(
        self, *, limit: int, wait_s: float, visibility_timeout_s: int
    ) -> Sequence[Received]:
        """Up to 10 visible messages, oldest first; waits for the first one."""
        deadline_s = self._clock.monotonic() + wait_s
        while True:
            self.faults.before()
            received = self._take(min(max(limit, 1), 10), visibility_timeout_s)
            left_s = deadline_s - self._clock.monotonic()
            if received or left_s <= 0:
                self.faults.after("receive")
                return received
            await self._wait_for_change(left_s)

    async def delete(self, receipt_handles: Sequence[str]) -> Sequence[EntryFailure | None]:
        """Delete messages by their latest handle."""
        self.faults.before()
        answers = [self._delete(handle) for handle in receipt_handles]
        self.faults.after("delete")
        return answers

    async def hide(self, hidings: Sequence[Hiding]) -> Sequence[EntryFailure | None]:
        """Change visibility timeouts, counted from now."""
        self.faults.before()
        answers = [self._hide(hiding) for hiding in hidings]
        self._wake()
        self.faults.after("hide")
        return answers

    async def bury(self, burials: Sequence[Burial]) -> Sequence[EntryFailure | None]:
        """Put copies into the dead-letter queue."""
        self.faults.before()
        answers = [self._bury(burial) for burial in burials]
        self.faults.after("bury")
        return answers

    async def recycle(self) -> None:
        """There are no connections."""

    async def close(self) -> None:
        """Nothing to let go of."""

    def _take(self, limit: int, visibility_timeout_s: int) -> list[Received]:
        self._redrive()
        now_s = self._clock.monotonic()
        visible = [one for one in self._messages if one.visible_at_s <= now_s][:limit]
        for one in visible:
            one.receive_count += 1
            one.receipt_handle = f"{one.message_id}#{next(self._numbers)}"
            one.visible_at_s = now_s + visibility_timeout_s
        return [_received(one) for one in visible]

    def _redrive(self) -> None:
        now_s = self._clock.monotonic()
        for one in list(self._messages):
            if one.receive_count >= self._max_receive_count and one.visible_at_s <= now_s:
                self._messages.remove(one)
                self.dead_letters.append(
                    DeadLetter(one.body, one.attributes, one.group_id, redriven=True)
                )

    def _find(self, receipt_handle: str) -> _Stored | None:
        matching = (one for one in self._messages if one.receipt_handle == receipt_handle)
        return next(matching, None)

    def _delete(self, receipt_handle: str) -> EntryFailure | None:
        failure = self.faults.entry("delete")
        found = self._find(receipt_handle)
        if failure is None and found is not None:
            self._messages.remove(found)
        return failure or (STALE if found is None else None)

    def _hide(self, hiding: Hiding) -> EntryFailure | None:
        failure = self.faults.entry("hide")
        found = self._find(hiding.receipt_handle)
        if failure is None and found is not None:
            found.visible_at_s = self._clock.monotonic() + max(hiding.visible_in_s, 0)
        return failure or (STALE if found is None else None)

    def _bury(self, burial: Burial) -> EntryFailure | None:
        failure = self.faults.entry("bury")
        if failure is None:
            self.dead_letters.append(
                DeadLetter(burial.body, _kept_attributes(burial), burial.group_id, redriven=False)
            )
        return failure

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _wait_for_change(self, left_s: float) -> None:
        """Until something is sent or shown, a hidden message's time comes, or the poll ends."""
        now_s = self._clock.monotonic()
        shown_in_s = [one.visible_at_s - now_s for one in self._messages]
        waits = {
            asyncio.ensure_future(self._changed.wait()),
            asyncio.ensure_future(self._clock.sleep(min([left_s, *shown_in_s]))),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def _kept_attributes(burial: Burial) -> dict[str, str]:
    room = SQS_BYTES_MAX - len(burial.body.encode())
    return clean_attributes(burial.attributes, bytes_max=room)


def _received(one: _Stored) -> Received:
    return Received(
        message_id=one.message_id,
        receipt_handle=one.receipt_handle or "",
        body=one.body,
        receive_count=one.receive_count,
        sent_at=one.sent_at,
        group_id=one.group_id,
        attributes=dict(one.attributes),
    )
