"""The picture of the fleet at one moment, with a little of its past, for charts and rates.

`watching` draws it, pages and `billfleet top` show it. Pure: samples come in, figures come out.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from billfleet_db.deliveries import Delivery
from billfleet_db.figures import Backlog
from billfleet_db.processes import Process
from billfleet_workers.runtime.backlog import DRAIN_S_MAX, drain_s
from billfleet_workers.runtime.ports.dead_letters import QueueFacts

SAMPLES_MAX = 240
RATE_OVER_S = 60.0


@dataclass(frozen=True, slots=True)
class WatchedQueue:
    """A queue to be watched: the catalogue's name, the names in AWS, and who reads it."""

    name: str
    physical_name: str
    dlq_physical_name: str
    worker: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One queue at one moment. `ended` counts deliveries that ended, since the watch began."""

    at: datetime
    waiting: int
    in_flight: int
    dead: int
    ended: int


@dataclass
class QueuePicture:
    """One queue and its dead-letter queue."""

    queue: WatchedQueue
    own: QueueFacts | None = None
    dead: QueueFacts | None = None
    oldest_unfinished_age_s: float = 0.0
    oldest_waiting_age_s: float | None = None
    oldest_dead_age_s: float | None = None
    readers: int = 0
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=SAMPLES_MAX))

    @property
    def waiting(self) -> int:
        """Messages that could be received now."""
        return self.own.waiting if self.own else 0

    @property
    def in_flight(self) -> int:
        """Messages that somebody holds, or that are hidden until later."""
        return self.own.in_flight if self.own else 0

    @property
    def dead_count(self) -> int:
        """Messages in the dead-letter queue, looked at right now or not."""
        return self.dead.waiting + self.dead.in_flight if self.dead else 0

    @property
    def oldest_age_s(self) -> float:
        """The older of what workers know and what SQS tells."""
        return max(self.oldest_unfinished_age_s, self.oldest_waiting_age_s or 0.0)

    @property
    def ended_per_s(self) -> float:
        """Deliveries that ended, a second, over the last minute."""
        return self._rate_at(len(self.samples) - 1)

    def _rate_at(self, place: int) -> float:
        """The rate over the minute that ends with this sample."""
        if place < 1:
            return 0.0
        last = self.samples[place]
        first = next(one for one in self.samples if _seconds(one, last) <= RATE_OVER_S)
        if first is last:
            first = self.samples[place - 1]
        passed_s = _seconds(first, last)
        return (last.ended - first.ended) / passed_s if passed_s > 0 else 0.0

    @property
    def drain_s(self) -> float:
        """How long what waits will take at this pace."""
        return drain_s(self.waiting, self.ended_per_s)

    @property
    def is_unread(self) -> bool:
        """Messages wait, and no process reads them."""
        return self.readers == 0 and self.waiting > 0

    def rates(self) -> list[float]:
        """Deliveries ended a second, between each two samples."""
        pairs = zip(self.samples, list(self.samples)[1:], strict=False)
        return [
            (later.ended - one.ended) / passed if (passed := _seconds(one, later)) > 0 else 0.0
            for one, later in pairs
        ]

    def drain_times(self) -> list[float]:
        """How long it would have taken to drain, at each sample; while nothing ended, as before."""
        times: list[float] = []
        for place, sample in enumerate(self.samples):
            time_s = drain_s(sample.waiting, self._rate_at(place))
            is_never = time_s >= DRAIN_S_MAX
            times.append((times[-1] if times else 0.0) if is_never else time_s)
        return times


@dataclass
class Picture:
    """All of the fleet. `at` is None until the first look is over."""

    stack: str
    queues: dict[str, QueuePicture]
    at: datetime | None = None
    processes: Sequence[Process] = ()
    backlog: Backlog | None = None
    setbacks: Sequence[Delivery] = ()
    problems: Sequence[str] = ()
    version: int = 0
    _counts: dict[tuple[str, str], int] = field(default_factory=dict)
    _ended: dict[str, int] = field(default_factory=dict)

    @property
    def dead_count(self) -> int:
        """Messages in all dead-letter queues."""
        return sum(one.dead_count for one in self.queues.values())

    @property
    def waiting(self) -> int:
        """Messages waiting in all queues."""
        return sum(one.waiting for one in self.queues.values())

    def by_dlq(self, name: str) -> QueuePicture | None:
        """The queue whose dead-letter queue has this name in AWS."""
        found = (one for one in self.queues.values() if one.queue.dlq_physical_name == name)
        return next(found, None)

    def put_processes(self, processes: Sequence[Process]) -> None:
        """Take over what the beats say, and count what ended since the last ones."""
        self.processes = processes
        readers: dict[str, int] = {}
        oldest: dict[str, float] = {}
        counts: dict[tuple[str, str], int] = {}
        for process in processes:
            for said in process.detail.get("queues", ()):
                name, key = said["queue"], (process.worker_id, said["queue"])
                readers[name] = readers.get(name, 0) + 1
                oldest[name] = max(oldest.get(name, 0.0), said["oldest_unfinished_age_s"])
                counts[key] = ended_of(said["tally"])
                before = self._counts.get(key, counts[key] if not self._counts else 0)
                self._ended[name] = self._ended.get(name, 0) + max(0, counts[key] - before)
        self._counts = counts
        for name, one in self.queues.items():
            one.readers = readers.get(name, 0)
            one.oldest_unfinished_age_s = oldest.get(name, 0.0)

    def put_queue(
        self, name: str, own: QueueFacts | None, dead: QueueFacts | None, now: datetime
    ) -> None:
        """Take over the depths of one queue."""
        one = self.queues[name]
        one.own, one.dead = own, dead
        sample = Sample(now, one.waiting, one.in_flight, one.dead_count, self._ended.get(name, 0))
        one.samples.append(sample)


def ended_of(tally: Mapping[str, Any]) -> int:
    """Deliveries that left for good: done, duplicate or buried."""
    return int(tally.get("completed", 0)) + int(tally.get("dead_lettered", 0))


def _seconds(one: Sample, later: Sample) -> float:
    return (later.at - one.at).total_seconds()
