"""The windows port: something that may happen once in a stretch of time, for one key.

A window is claimed before any work, for a short lease, and closed for its whole length once the
thing has happened. A crash before that costs the lease and not the window (R47). Tokens fence: who
lost the lease can neither renew nor record. Time comes from the adapter's clock, never from a TTL
deletion (R45). It saves work and is no guarantee: the database refuses the second effect itself.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WindowClaimed:
    """It is ours until the lease ends. `taken_over`: somebody else had let it lapse."""

    taken_over: bool = False


@dataclass(frozen=True, slots=True)
class WindowHeld:
    """Somebody else is at it, until `lease_until` at least."""

    lease_until: datetime


@dataclass(frozen=True, slots=True)
class WindowClosed:
    """It has happened, and may again from `until` on."""

    happened_at: datetime
    until: datetime


WindowAnswer = WindowClaimed | WindowHeld | WindowClosed


class Windows(Protocol):
    """Claim, renew, record, release. `Unavailable` when the store can't be asked."""

    async def claim(self, key: str, token: str, lease_s: int) -> WindowAnswer:
        """Claim the window, or say why not. The same token may claim again what it holds."""
        ...

    async def renew(self, key: str, token: str, lease_s: int) -> bool:
        """Move the end of our lease. False: it is not ours any more, or never was."""
        ...

    async def record(self, key: str, token: str, happened_at: datetime, until: datetime) -> bool:
        """It has happened: nobody claims until then. False: somebody else has the window.

        A window that has lapsed, or that the store lost, is recorded all the same, and doing
        so twice with the same token changes nothing.
        """
        ...

    async def release(self, key: str, token: str) -> bool:
        """Give the window back: it did not happen. False: it is not ours."""
        ...

    async def close(self) -> None:
        """Let go of connections. Safe to call twice."""
        ...
