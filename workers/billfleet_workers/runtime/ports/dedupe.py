"""The dedupe port: who does a piece of work, and whether it is done already.

Delivery claims before it handles and completes after; the heartbeat extends. A claim is a lease
with a fencing token: complete, extend and release are refused to a token that lost its lease, so
that a slow worker can't record over the one that took its work. Time comes from the adapter's
clock, never from a TTL deletion.

All calls take any number of entries and answer in order. The same key may not stand twice in
one call. `Unavailable` is raised when the store can't be asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol


class ClaimRequest(NamedTuple):
    """Ask for `key` for `lease_s` seconds. `token` is unique to this delivery."""

    key: str
    payload_hash: str
    token: str
    lease_s: float


@dataclass(frozen=True, slots=True)
class Claimed:
    """The work is ours until the lease ends. `taken_over`: an earlier worker let it lapse.

    `attempts` counts this one and those before it that failed or were never heard of again.
    """

    taken_over: bool = False
    attempts: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class AlreadyDone:
    """Somebody completed this key, and the record has not expired."""

    completed_at: datetime
    note: str


@dataclass(frozen=True, slots=True)
class InProgress:
    """Somebody holds a live lease."""

    lease_until: datetime


@dataclass(frozen=True, slots=True)
class PayloadMismatch:
    """The key is known with another payload: one of the two senders is wrong."""

    recorded_hash: str


ClaimAnswer = Claimed | AlreadyDone | InProgress | PayloadMismatch


@dataclass(frozen=True, slots=True)
class Held:
    """A claim that we believe to hold.

    `failed_attempts` are remembered when it is released, for the next claim of the same payload;
    0 leaves nothing behind.
    """

    key: str
    token: str
    failed_attempts: int = 0


class Completion(NamedTuple):
    """Record `key` as done for `retain_s` seconds, with a short note for operators."""

    key: str
    token: str
    retain_s: float
    note: str


@dataclass(frozen=True, slots=True)
class Record:
    """What the store knows of a key, for operators and replay."""

    key: str
    state: str
    payload_hash: str
    token: str
    lease_until: datetime | None
    completed_at: datetime | None
    expires_at: datetime
    note: str


class DedupeStore(Protocol):
    """Claim, complete, release; extend while working; read for operators."""

    async def claim(self, requests: Sequence[ClaimRequest]) -> Sequence[ClaimAnswer]:
        """Claim each key, or say why not."""
        ...

    async def complete(self, completions: Sequence[Completion]) -> Sequence[bool]:
        """Record as done. False: the lease was lost, and nothing was written."""
        ...

    async def release(self, held: Sequence[Held]) -> Sequence[bool]:
        """Give claims back so that the next delivery may start at once. False: not ours."""
        ...

    async def extend(self, held: Sequence[Held], lease_s: float) -> Sequence[bool]:
        """Move the end of the leases to `lease_s` from now. False: not ours any more."""
        ...

    async def read(self, keys: Sequence[str]) -> Sequence[Record | None]:
        """Look, change nothing. Expired records read as None."""
        ...

    async def close(self) -> None:
        """Let go of connections. Safe to call twice."""
        ...


class AmendableStore(DedupeStore, Protocol):
    """A store whose done records an operator may take back. Only replay asks for one."""

    async def forget(self, key: str, completed_at: datetime) -> bool:
        """Delete the record of `key` if it is done and was completed at this very moment.

        False: it is not done, or was completed at another time, and nothing was changed.
        """
        ...
