"""Token buckets: how fast one tenant, or one stranger's address, may knock.

The authentication of callers takes from them. In this process only: with several front doors
behind a balancer, each allows the rate. Time is passed in.
"""

from __future__ import annotations

from collections import OrderedDict

KEPT_MAX = 10_000


class Buckets:
    """One bucket a name, filled at `per_s` up to `burst`.

    Whoever finds a bucket empty may still have cost something: up to `debt_max` it is taken all
    the same, and paid for before there is a token again.
    """

    def __init__(self, per_s: float, burst: float, *, debt_max: float = 0.0) -> None:
        self._per_s = per_s
        self._burst = burst
        self._debt_max = debt_max
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, name: str, now_s: float) -> float:
        """The seconds until there is a token, and 0.0 where there is one. Takes none."""
        left = self._left_of(name, now_s)
        return 0.0 if left >= 1 else (1 - left) / self._per_s

    def take(self, name: str, now_s: float) -> float:
        """Take one token: 0.0. Where none is left: the seconds until there is one."""
        wait_s, left = self.wait_s(name, now_s), self._left_of(name, now_s)
        self._left[name] = (left - 1 if left - 1 >= -self._debt_max else left, now_s)
        self._left.move_to_end(name)
        if len(self._left) > KEPT_MAX:
            # The one that knocked longest ago is full again, or nearly.
            self._left.popitem(last=False)
        return wait_s

    def _left_of(self, name: str, now_s: float) -> float:
        left, at_s = self._left.get(name, (self._burst, now_s))
        return min(self._burst, left + (now_s - at_s) * self._per_s)
