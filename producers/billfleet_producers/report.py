"""What came of a send: receipts for what was enqueued, failures for what was not.

Returned by the producers and read by their callers. Values only.
"""

from __future__ import annotations

from dataclasses import dataclass

from billfleet_producers.errors import BatchFailed, ProducerError
from billfleet_producers.outgoing import Outgoing


@dataclass(frozen=True, slots=True)
class Receipt:
    """AWS has the message.

    Attributes:
        what: the message as it was sent; `what.event_id` is the envelope's id.
        message_id: AWS's id of it.
        sequence_number: its place in a FIFO queue or topic; None elsewhere.
    """

    what: Outgoing
    message_id: str
    sequence_number: str | None = None

    @property
    def event_id(self) -> str:
        """The envelope's id, which logs and the fleet name the work by."""
        return self.what.event_id


@dataclass(frozen=True, slots=True)
class Failure:
    """AWS does not have the message, as far as anyone can tell.

    Attributes:
        what: the message, ready to be sent again.
        error: why not, as the exception that `send` would raise.
    """

    what: Outgoing
    error: ProducerError

    @property
    def why(self) -> str:
        """What happened, in one sentence."""
        return self.error.why

    @property
    def code(self) -> str:
        """AWS's error code, or a word of ours."""
        return self.error.code

    @property
    def retriable(self) -> bool:
        """Whether the same send may succeed later."""
        return self.error.retriable


@dataclass(frozen=True, slots=True)
class Report:
    """The end of a batch send: every message is in exactly one of the two, in the given order."""

    sent: tuple[Receipt, ...]
    failed: tuple[Failure, ...]

    def raise_for_failures(self) -> None:
        """Do nothing when all were sent.

        Raises:
            BatchFailed: some were not; its `errors` has one per message.
        """
        if self.failed:
            raise BatchFailed([failure.error for failure in self.failed], len(self.sent))
