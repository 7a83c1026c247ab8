"""What a handler is given and what it gives back.

A handler turns one typed event into an effect, inside its own transaction, and returns what it
did as counts. It raises an error of `runtime.errors` when it could not. It never settles a
message and never sees the queue.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from billfleet_contracts import Envelope


@dataclass(frozen=True, slots=True)
class Work:
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
