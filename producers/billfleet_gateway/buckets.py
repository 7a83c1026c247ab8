"""Token buckets: how fast one tenant, or one stranger's address, may knock.

The authentication of callers takes from them. In this process only: with several front doors
behind a balancer, each allows the rate. Time is passed in.
"""

from __future__ import annotations

from collections import OrderedDict

KEPT_MAX = 10_000


class Buckets:
    """One bucket a name, filled at `per_s` up to `burst`."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, now_s: float) -> float:
        """Take one token: 0.0. Where none is left: the seconds until there is one."""
        left, at_s = self._left.pop(name, (self._burst, now_s))
        left = min(self._burst, left + (now_s - at_s) * self._per_s)
        wait_s = 0.0 if left >= 1 else (1 - left) / self._per_s
        self._left[name] = (left - 1 if wait_s == 0 else left, now_s)
        if len(self._left) > KEPT_MAX:
            # The one that knocked longest ago is full again, or nearly.
            self._left.popitem(last=False)
        return wait_s
