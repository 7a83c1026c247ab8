"""The metrics port where no statsd host is set: figures go nowhere, at no cost."""

from collections.abc import Sequence

from billfleet_workers.runtime.ports.metrics import Counter, Gauge, Timer


class SilentMetrics:
    """Takes every figure and keeps none."""

    def count(self, name: Counter, value: int = 1, **tags: str) -> None:
        """Add to a counter: nowhere."""

    def timing(self, name: Timer, ms: float, **tags: str) -> None:
        """Record a duration: nowhere."""

    def timings(self, name: Timer, all_ms: Sequence[float], **tags: str) -> None:
        """Record many durations: nowhere."""

    def gauge(self, name: Gauge, value: float, **tags: str) -> None:
        """Set a gauge: nowhere."""
