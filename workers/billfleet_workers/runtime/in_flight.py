"""One message between its receive and its settling.

Delivery fills it in, verb by verb; the heartbeat extends it; the consumer cancels its handler when
a drain runs out of time. It holds no behaviour of its own.
"""

from dataclasses import dataclass, field
from typing import Protocol

from billfleet_contracts import Envelope
from billfleet_workers.runtime.handling import Finished
from billfleet_workers.runtime.outcome import Outcome
from billfleet_workers.runtime.ports.queue import Received


class Running(Protocol):
    """A handler at work for one message: its own task, or its part in a call for many."""

    def cancel(self) -> object:
        """Stop it."""
        ...

    def done(self) -> bool:
        """Whether it has ended."""
        ...


@dataclass(slots=True, eq=False)
class Delivery:
    """One receive of one message on its way through the verbs."""

    received: Received
    received_at_s: float
    token: str
    envelope: Envelope | None = None
    key: str = ""
    payload_hash: str = ""
    claimed: bool = False
    attempts: int = 1
    followers: "list[Delivery]" = field(default_factory=list)
    is_unstarted: bool = False
    lease_lost: bool = False
    is_overdue: bool = False
    task: Running | None = None
    result: Finished | BaseException | None = None
    outcome: Outcome | None = None
    handle_ms: float = 0.0
    settled: bool = False
    extended_at_s: float = 0.0
    started_at_s: float | None = None

    @property
    def type(self) -> str:
        """The event type, or `undecodable`."""
        return self.envelope.type if self.envelope else "undecodable"
