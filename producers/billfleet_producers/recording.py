"""`RecordingProducer` and `RecordingSyncProducer`: for tests of code that enqueues work.

Public: services use them in their own tests in the place of the real producers. They run the
same preparing, packing and sending; only AWS is replaced by a list. No network, no waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from billfleet_contracts import Envelope, Event, Pointer, decode, read_pointer
from billfleet_producers.claim_check import ClaimCheck, LargeBody
from billfleet_producers.errors import ProducerError, SendFailed
from billfleet_producers.outgoing import Outgoing
from billfleet_producers.packing import Batch
from billfleet_producers.preparing import random_id, utc_now
from billfleet_producers.producer import Producer
from billfleet_producers.sending import Accepted, Answer
from billfleet_producers.sync_producer import SyncProducer

AnEvent = TypeVar("AnEvent", bound=Event)


def default_refusal() -> SendFailed:
    """What a recording answers when it is told to fail and not how."""
    return SendFailed("told to fail by the test", code="ToldToFail")


@dataclass(slots=True)
class _Fault:
    matches: Callable[[Outgoing], bool]
    error: ProducerError
    times_left: int | None


class Recorder:
    """The memory that both recording producers write to, and read their assertions from.

    Attributes:
        sent: every message that was accepted, oldest first.
        batches: the calls that would have been made, with the messages that each carried.
        stored: the bodies that would have been left in S3, by where.
    """

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.batches: list[Batch] = []
        self.stored: dict[Pointer, str] = {}
        self._faults: list[_Fault] = []

    def answer(self, batch: Batch) -> list[Answer]:
        """Accept each message, or refuse it as told."""
        self.batches.append(batch)
        return [self._answer(message) for message in batch.messages]

    def add_fault(
        self, matches: Callable[[Outgoing], bool], error: ProducerError, times: int | None
    ) -> None:
        """Refuse messages that match, so many times; None means always."""
        self._faults.append(_Fault(matches, error, times))

    def _answer(self, message: Outgoing) -> Answer:
        for fault in self._faults:
            if fault.times_left != 0 and fault.matches(message):
                if fault.times_left is not None:
                    fault.times_left -= 1
                return fault.error
        self.sent.append(message)
        return Accepted(message_id=f"recorded-{len(self.sent)}")


class _Recording:
    """The assertions and faults that both recording producers offer."""

    recorder: Recorder

    @property
    def sent(self) -> list[Outgoing]:
        """Every message that was accepted, oldest first."""
        return self.recorder.sent

    @property
    def envelopes(self) -> list[Envelope]:
        """The same, decoded."""
        return [decode(self._whole_body(message)) for message in self.sent]

    def _whole_body(self, message: Outgoing) -> str:
        pointer = read_pointer(message.body)
        return message.body if pointer is None else self.recorder.stored[pointer]

    def fail(
        self,
        matches: Callable[[Outgoing], bool] = lambda _: True,
        *,
        error: ProducerError | None = None,
        times: int | None = None,
    ) -> None:
        """Refuse messages from now on.

        Args:
            matches: which; all when not given.
            error: how; a SendFailed that is not retriable when not given.
            times: how often; always when not given.
        """
        self.recorder.add_fault(matches, error or default_refusal(), times)

    def events(self, event_type: type[AnEvent]) -> list[AnEvent]:
        """The events of one type that were sent."""
        found = (envelope.data for envelope in self.envelopes)
        return [event for event in found if isinstance(event, event_type)]

    def assert_sent(self, event: Event, *, tenant: str | None = None) -> Envelope:
        """The envelope of `event`, which must have been sent exactly once.

        Raises:
            AssertionError: it was not, or more than once; the message lists what was sent.
        """
        found = [
            envelope
            for envelope in self.envelopes
            if envelope.data == event and tenant in {None, envelope.tenant}
        ]
        if len(found) != 1:
            raise AssertionError(f"sent {len(found)} times: {event!r}\n{self._listing()}")
        return found[0]

    def assert_nothing_sent(self) -> None:
        """Nothing was enqueued.

        Raises:
            AssertionError: something was; the message lists it.
        """
        if self.sent:
            raise AssertionError(self._listing())

    def _listing(self) -> str:
        lines = [f"  {message.event_type or '?'} {message.body}" for message in self.sent]
        return "\n".join([f"{len(lines)} messages were sent:", *lines])


class RecordingProducer(_Recording, Producer):
    """A `Producer` that keeps what it is given instead of sending it.

    Example:
        >>> async with RecordingProducer() as producer:
        ...     await sign_up(producer)
        >>> producer.assert_sent(RebillAccounts(...), tenant="acme")
    """

    def __init__(
        self,
        *,
        source: str = "/test",
        clock: Callable[[], datetime] = utc_now,
        new_id: Callable[[], str] = random_id,
        claim_check: ClaimCheck | None = None,
    ) -> None:
        self.recorder = Recorder()
        super().__init__(
            stack="recording",
            source=source,
            clock=clock,
            new_id=new_id,
            claim_check=claim_check,
            sleep=_pass_async,
            transport=_AsyncRecordingTransport(self.recorder),
        )


class RecordingSyncProducer(_Recording, SyncProducer):
    """A `SyncProducer` that keeps what it is given instead of sending it."""

    def __init__(
        self,
        *,
        source: str = "/test",
        clock: Callable[[], datetime] = utc_now,
        new_id: Callable[[], str] = random_id,
        claim_check: ClaimCheck | None = None,
    ) -> None:
        self.recorder = Recorder()
        super().__init__(
            stack="recording",
            source=source,
            clock=clock,
            new_id=new_id,
            claim_check=claim_check,
            sleep=lambda _: None,
            transport=_SyncRecordingTransport(self.recorder),
        )


class _AsyncRecordingTransport:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def store(self, large: LargeBody) -> None:
        self._recorder.stored[large.pointer] = large.body

    async def send(self, batch: Batch) -> list[Answer]:
        return self._recorder.answer(batch)

    async def close(self) -> None:
        return


class _SyncRecordingTransport:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def store(self, large: LargeBody) -> None:
        self._recorder.stored[large.pointer] = large.body

    def send(self, batch: Batch) -> list[Answer]:
        return self._recorder.answer(batch)

    def close(self) -> None:
        return


async def _pass_async(_: float) -> None:
    return
