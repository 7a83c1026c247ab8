"""A rate that several senders share.

`run` takes a turn before it sends. Time is the clock's.
"""

from billfleet_workers.runtime.clock import Clock


class Pace:
    """At most so many a second; without a rate, no waiting."""

    def __init__(self, rate_per_s: float | None, clock: Clock) -> None:
        self._rate_per_s = rate_per_s
        self._clock = clock
        self._next_s = clock.monotonic()

    async def take(self, count: int) -> None:
        """Wait until `count` more may be sent."""
        if self._rate_per_s is None:
            return
        now_s = self._clock.monotonic()
        start_s = max(self._next_s, now_s)
        self._next_s = start_s + count / self._rate_per_s
        await self._clock.sleep(start_s - now_s)
