"""The queue port: receive, delete, hide and bury messages of one queue.

The consumer receives through it and delivery settles through it. Every call takes a batch of
any size (an adapter cuts it to what its service allows) and answers entry by entry, in order:
a batch call that succeeds as a whole says nothing about its entries. A port that can't reach
its service raises `Unavailable`; nothing else escapes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple, Protocol

_NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})


class Received(NamedTuple):
    """One receive of one message. Its receipt handle is the only right to settle it."""

    message_id: str
    receipt_handle: str
    body: str
    receive_count: int
    sent_at: datetime | None = None
    group_id: str | None = None
    attributes: Mapping[str, str] = _NO_ATTRIBUTES
    pointer: str | None = None
    """What SQS holds in the body's place, where the body itself was left in S3."""


@dataclass(frozen=True, slots=True)
class EntryFailure:
    """Why one entry of a batch call failed. `retriable` is false where asking again can't help."""

    code: str
    reason: str
    retriable: bool


@dataclass(frozen=True, slots=True)
class Hiding:
    """Make a message visible again after `visible_in_s` seconds (0: at once)."""

    receipt_handle: str
    visible_in_s: int


@dataclass(frozen=True, slots=True)
class Burial:
    """A message on its way to the dead-letter queue: its bytes untouched, its reason beside it."""

    message_id: str
    body: str
    attributes: Mapping[str, str]
    group_id: str | None = None


class Queue(Protocol):
    """One source queue and its dead-letter queue."""

    @property
    def name(self) -> str:
        """The catalogue's name of the queue, for example `rebill`."""
        ...

    async def receive(
        self, *, limit: int, wait_s: float, visibility_timeout_s: int
    ) -> Sequence[Received]:
        """Wait up to `wait_s` for 1 to `limit` messages; an empty answer is normal."""
        ...

    async def delete(self, receipt_handles: Sequence[str]) -> Sequence[EntryFailure | None]:
        """Delete messages; the answer is aligned with the handles."""
        ...

    async def hide(self, hidings: Sequence[Hiding]) -> Sequence[EntryFailure | None]:
        """Change visibility timeouts, counted from now; the answer is aligned."""
        ...

    async def bury(self, burials: Sequence[Burial]) -> Sequence[EntryFailure | None]:
        """Send to the dead-letter queue (the source message stays); the answer is aligned."""
        ...

    async def recycle(self) -> None:
        """Throw the connections away; the next call opens new ones. For a call that hangs."""
        ...

    async def close(self) -> None:
        """Let go of connections. Safe to call twice."""
        ...
