"""The metrics port in memory, for tests of whoever emits; yours too.

It refuses what the registry does not have, so that a wrong tag fails a test and not a dashboard.
"""

from collections import defaultdict
from collections.abc import Sequence

from billfleet_workers.runtime.ports.metrics import METRICS, Counter, Gauge, Timer

Tags = tuple[tuple[str, str], ...]


class MemoryMetrics:
    """Figures in dictionaries, by name and sorted tags."""

    def __init__(self) -> None:
        self.counters: dict[tuple[Counter, Tags], int] = defaultdict(int)
        self.recorded: dict[tuple[Timer, Tags], list[float]] = defaultdict(list)
        self.gauges: dict[tuple[Gauge, Tags], float] = {}

    def count(self, name: Counter, value: int = 1, **tags: str) -> None:
        """Add to a counter."""
        self.counters[name, _checked(name, tags)] += value

    def timing(self, name: Timer, ms: float, **tags: str) -> None:
        """Record a duration."""
        self.recorded[name, _checked(name, tags)].append(ms)

    def timings(self, name: Timer, all_ms: Sequence[float], **tags: str) -> None:
        """Record many durations of one series."""
        self.recorded[name, _checked(name, tags)].extend(all_ms)

    def gauge(self, name: Gauge, value: float, **tags: str) -> None:
        """Set a gauge."""
        self.gauges[name, _checked(name, tags)] = value

    def total(self, name: Counter, **tags: str) -> int:
        """The sum of a counter over the series that carry these tags."""
        wanted = set(tags.items())
        return sum(
            value
            for (counted, series), value in self.counters.items()
            if counted == name and wanted <= set(series)
        )


def _checked(name: Counter | Timer | Gauge, tags: dict[str, str]) -> Tags:
    expected = METRICS[name].tags
    if set(tags) != set(expected):
        raise ValueError(f"metric {name} carries the tags {expected}, not {tuple(tags)}")
    return tuple(sorted(tags.items()))
