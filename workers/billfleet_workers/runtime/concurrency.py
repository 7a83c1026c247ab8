"""How many messages may be in flight: fewer when what handlers depend on slows down.

Additive increase, multiplicative decrease on the handlers' latency, between a floor and a
ceiling. Delivery reports each handler's end; the consumer asks for the limit before it receives.
Pure arithmetic over what it is told.

Source of the rule: D.-M. Chiu, R. Jain, "Analysis of the Increase and Decrease Algorithms for
Congestion Avoidance in Computer Networks", 1989.
"""

from dataclasses import dataclass

WINDOW = 20
INCREASE = 4
DECREASE = 0.7
SLOWER = 2.0
SLACK_MS = 5.0
BASELINE_DRIFT = 1.02


@dataclass(slots=True)
class Concurrency:
    """The limit of one queue. Give equal floor and ceiling for a fixed one."""

    floor: int
    ceiling: int
    limit: int = 0
    _baseline_ms: float = 0.0
    _sum_ms: float = 0.0
    _count: int = 0
    _failed: int = 0
    _was_full: bool = False

    def __post_init__(self) -> None:
        self.limit = self.limit or self.ceiling

    def note_full(self) -> None:
        """The limit was in the way: somebody wanted to receive and could not."""
        self._was_full = True

    def ended(self, handle_ms: float, *, failed: bool) -> None:
        """A handler has ended. After a window of them the limit moves."""
        self._sum_ms += handle_ms
        self._count += 1
        self._failed += failed
        if self._count >= WINDOW:
            self._move()

    def _move(self) -> None:
        mean_ms = self._sum_ms / self._count
        # The baseline forgets slowly, so that a dependency which is slower for good is accepted.
        drifted_ms = self._baseline_ms * BASELINE_DRIFT
        self._baseline_ms = min(mean_ms, drifted_ms) if self._baseline_ms else mean_ms
        is_slower = mean_ms > self._baseline_ms * SLOWER + SLACK_MS
        if is_slower or self._failed * 2 > self._count:
            self.limit = max(self.floor, int(self.limit * DECREASE))
        elif self._was_full:
            self.limit = min(self.ceiling, self.limit + INCREASE)
        self._sum_ms, self._count, self._failed, self._was_full = 0.0, 0, 0, False
