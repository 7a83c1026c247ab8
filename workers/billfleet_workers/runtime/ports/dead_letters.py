"""The dead-letters port: look through queues of dead messages, send copies on, take them out.

Replay is its caller. Unlike the queue port it reaches any number of queues, each by its URL, the
fleet's own and anybody's, and it keeps everything that a message carries. Batch calls answer
entry by entry, in order. `Unavailable` where the service can't be asked; its subclass
`NotAllowed` where a permission is missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from billfleet_workers.runtime.errors import Misconfigured
from billfleet_workers.runtime.ports.queue import EntryFailure, Hiding


class NotAllowed(Misconfigured):
    """The credentials in use lack one permission. Allow the action that is named on the resource
    that is named, in the policy of whoever runs this, and run it again."""

    def __init__(self, action: str, resource: str) -> None:
        super().__init__(resource, f"the permission {action} on {resource} is missing")
        self.action = action
        self.resource = resource


@dataclass(frozen=True, slots=True)
class Attribute:
    """A message attribute: `text`, or `data` where the type is binary."""

    data_type: str
    text: str = ""
    data: bytes | None = None

    @property
    def size_bytes(self) -> int:
        """What SQS counts of it, without its name."""
        value = self.text.encode() if self.data is None else self.data
        return len(self.data_type) + len(value)


@dataclass(frozen=True, slots=True)
class DeadMessage:
    """One receive of a message that rests in a dead-letter queue.

    `source_arn` is the queue that SQS itself moved it from; None for one that was sent there.
    """

    message_id: str
    receipt_handle: str
    body: str
    receive_count: int
    sent_at: datetime
    group_id: str | None = None
    source_arn: str | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Copy:
    """A message to be sent. FIFO queues need a group and a deduplication id."""

    body: str
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    group_id: str | None = None
    deduplication_id: str | None = None

    @property
    def size_bytes(self) -> int:
        """What SQS counts of it."""
        named = sum(len(name.encode()) + one.size_bytes for name, one in self.attributes.items())
        return len(self.body.encode()) + named


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """A queue as it is now; the counts are approximations. `redrives_to`: its own DLQ's ARN."""

    url: str
    name: str
    arn: str
    is_fifo: bool
    waiting: int
    in_flight: int
    redrives_to: str | None = None


class DeadLetters(Protocol):
    """Any queues of one account and region."""

    async def describe(self, queue: str) -> QueueFacts | None:
        """A queue by its URL, ARN or name; None if there is none."""
        ...

    async def sources(self, url: str) -> Sequence[str]:
        """The URLs of the queues that name this one as their dead-letter queue."""
        ...

    async def receive(
        self, url: str, *, limit: int, wait_s: float, visibility_timeout_s: int
    ) -> Sequence[DeadMessage]:
        """Up to ten messages, hidden for so long."""
        ...

    async def send(self, url: str, copies: Sequence[Copy]) -> Sequence[EntryFailure | None]:
        """Send; the answer is aligned with the copies."""
        ...

    async def hide(self, url: str, hidings: Sequence[Hiding]) -> Sequence[EntryFailure | None]:
        """Change visibility timeouts, counted from now; the answer is aligned."""
        ...

    async def delete(
        self, url: str, receipt_handles: Sequence[str]
    ) -> Sequence[EntryFailure | None]:
        """Delete; the answer is aligned with the handles."""
        ...

    async def close(self) -> None:
        """Let go of connections. Safe to call twice."""
        ...
