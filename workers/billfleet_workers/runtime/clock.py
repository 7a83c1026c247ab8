"""Time, passed in as an argument.

Everything that needs the time or waits takes a `Clock`. `SystemClock` is the real one;
`ManualClock` is for tests and simulations: it moves only when told, and wakes its sleepers in
order.
"""

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Now, a monotonic reading in seconds, and sleep."""

    def now(self) -> datetime:
        """The present, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary point; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds from an arbitrary point; never goes back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until `advance` is called."""

    def __init__(self, now: datetime) -> None:
        self._start = now
        self._elapsed_s = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """The present, aware, in UTC."""
        return self._start + timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._elapsed_s

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has moved the clock far enough."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed_s + seconds, next(self._order), wake))
        await wake

    async def advance(self, seconds: float) -> None:
        """Move time, waking each sleeper at its own moment."""
        until_s = self._elapsed_s + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= until_s:
            at_s, _, wake = heapq.heappop(self._sleepers)
            self._elapsed_s = max(self._elapsed_s, at_s)
            if not wake.done():
                wake.set_result(None)
            await self._settle()
        self._elapsed_s = until_s

    @staticmethod
    async def _settle() -> None:
        """Let every task that can run do so before time moves on."""
        for _ in range(20):
            await asyncio.sleep(0)
