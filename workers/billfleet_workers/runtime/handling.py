"""What a handler is given and what it gives back.

A handler turns one typed event into an effect, inside its own transaction, and returns what it
did as counts. It raises an error of `runtime.errors` when it could not. It never settles a
message and never sees the queue. A set-based handler takes many works at once and answers each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from billfleet_contracts import Envelope

if TYPE_CHECKING:
    from typing_extensions import TypeIs


class Work(NamedTuple):
    """One claimed delivery: the envelope, and what SQS said of this receive."""

    envelope: Envelope
    message_id: str
    receive_count: int
    received_at: datetime
    token: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The work is done. The note (`{"billed": 97}`) is for the log and the record."""

    note: Mapping[str, int | str] = field(default_factory=dict)


class Handler(Protocol):
    """One worker's reaction to its events."""

    async def handle(self, work: Work) -> Finished:
        """Do the work, or raise `Transient`, `Permanent` or `Unavailable`."""
        ...


class BatchHandler(Protocol):
    """One worker's reaction to many of its events at once, in one transaction for all of them.

    No two works of a call have the same dedupe key, and on a FIFO queue each is of another group.
    """

    @property
    def batch_max(self) -> int:
        """How many works one call takes at most."""
        ...

    async def handle_batch(self, works: Sequence[Work]) -> Sequence[Finished | Exception]:
        """Do all of it; the answer is aligned with the works, an error where one is at fault.

        What it raises as a whole blames nobody in particular: `Unavailable` sends all back
        unharmed, after anything else each work is tried again in a call of its own.
        """
        ...


Handlers = Mapping[str, Handler | BatchHandler]
"""The handlers of a queue, by event type."""


def is_set_based(handler: Handler | BatchHandler) -> "TypeIs[BatchHandler]":
    """Whether it takes many works at once."""
    return hasattr(handler, "handle_batch")
