"""The windows port in memory, for tests; yours too. `faults` makes it fail on request."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from billfleet_workers.adapters.memory_faults import Faults
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.ports.windows import (
    WindowAnswer,
    WindowClaimed,
    WindowClosed,
    WindowHeld,
)


@dataclass(slots=True)
class _Window:
    token: str
    expires_at: datetime
    happened_at: datetime | None = None


class MemoryWindows:
    """Windows in a dict."""

    def __init__(self, clock: Clock) -> None:
        self.faults = Faults("the windows in memory")
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    async def claim(self, key: str, token: str, lease_s: int) -> WindowAnswer:
        """Claim the window, or say why not."""
        self.faults.before()
        now, seen = self._clock.now(), self._windows.get(key)
        ends = now + timedelta(seconds=lease_s)
        if seen is None or seen.expires_at <= now:
            self._windows[key] = _Window(token, ends)
            self.faults.after("claim")
            return WindowClaimed(taken_over=seen is not None and seen.happened_at is None)
        if seen.happened_at is not None:
            return WindowClosed(seen.happened_at, seen.expires_at)
        if seen.token != token:
            return WindowHeld(seen.expires_at)
        seen.expires_at = ends
        return WindowClaimed()

    async def renew(self, key: str, token: str, lease_s: int) -> bool:
        """Move the end of our lease."""
        self.faults.before()
        seen = self._windows.get(key)
        if seen is None or seen.token != token or seen.happened_at is not None:
            return False
        seen.expires_at = self._clock.now() + timedelta(seconds=lease_s)
        return True

    async def record(self, key: str, token: str, happened_at: datetime, until: datetime) -> bool:
        """Keep everybody out until then."""
        self.faults.before()
        seen = self._windows.get(key)
        if seen is not None and seen.token != token and seen.expires_at > self._clock.now():
            return False
        self._windows[key] = _Window(token, until, happened_at)
        self.faults.after("record")
        return True

    async def release(self, key: str, token: str) -> bool:
        """Give the window back."""
        self.faults.before()
        seen = self._windows.get(key)
        if seen is None or seen.token != token or seen.happened_at is not None:
            return False
        del self._windows[key]
        return True

    def lose_everything(self) -> None:
        """What a table that was lost looks like."""
        self._windows.clear()

    async def close(self) -> None:
        """Nothing to let go of."""
