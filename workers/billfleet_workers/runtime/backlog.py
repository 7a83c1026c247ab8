"""The backlog watch: how much waits, for how many workers, and how long it takes to drain.

One process of the fleet runs it beside the relay; two do no harm, for they say the same. It reads
depths from the queues and lives from the beats, and turns them into the gauges that alarms and
autoscaling are made from. It receives no message and changes nothing.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import DeliveryError
from billfleet_workers.runtime.ports.metrics import Gauge, Metrics

EVERY_S = 15.0
DRAIN_S_MAX = 14 * 86_400.0
"""What waits while nothing is finished drains never; messages live no longer than this."""


@dataclass(frozen=True, slots=True)
class Depth:
    """A queue and its dead-letter queue, counted. None: it could not be asked."""

    queue: str
    waiting: int | None
    dead: int | None


@dataclass(frozen=True, slots=True)
class Lives:
    """Who works on a queue: processes alive, and how many messages they have finished in all."""

    alive: int = 0
    finished: int = 0


Depths = Callable[[], Awaitable[Sequence[Depth]]]
LivesByQueue = Callable[[], Awaitable[Mapping[str, Lives]]]
Figures = Callable[[], Awaitable[Mapping[Gauge, float]]]


class BacklogWatch:
    """Reads, compares with the reading before, and emits."""

    def __init__(
        self, depths: Depths, lives: LivesByQueue, figures: Figures, clock: Clock, metrics: Metrics
    ) -> None:
        self._depths = depths
        self._lives = lives
        self._figures = figures
        self._clock = clock
        self._metrics = metrics
        self._finished: dict[str, tuple[float, int]] = {}
        self._log = structlog.get_logger("billfleet.backlog")

    async def run(self) -> None:
        """Look for ever; what can't be asked now is asked again."""
        while True:
            try:
                await self.look()
            except DeliveryError as error:
                self._log.warning("backlog_unknown", reason=error.reason)
            await self._clock.sleep(EVERY_S)

    async def look(self) -> None:
        """Once."""
        depths, lives = await self._depths(), await self._lives()
        for depth in depths:
            self._emit(depth, lives.get(depth.queue, Lives()))
        for name, value in (await self._figures()).items():
            self._metrics.gauge(name, value)

    def _emit(self, depth: Depth, lives: Lives) -> None:
        queue, gauge = depth.queue, self._metrics.gauge
        per_s = self._finished_per_s(queue, lives.finished)
        gauge("workers_alive", lives.alive, queue=queue)
        if depth.dead is not None:
            gauge("dead_letters", depth.dead, queue=queue)
        if depth.waiting is not None:
            gauge("queue_waiting", depth.waiting, queue=queue)
            gauge("backlog_per_worker", depth.waiting / max(1, lives.alive), queue=queue)
            gauge("drain_s", drain_s(depth.waiting, per_s), queue=queue)

    def _finished_per_s(self, queue: str, finished: int) -> float:
        """Since the last look. A process that ended takes its count along; that is no work."""
        now_s = self._clock.monotonic()
        before_s, before = self._finished.get(queue, (now_s, finished))
        self._finished[queue] = (now_s, finished)
        return max(0, finished - before) / (now_s - before_s) if now_s > before_s else 0.0


def drain_s(waiting: int, finished_per_s: float) -> float:
    """How long what waits will take at the pace of now."""
    if waiting == 0:
        return 0.0
    return min(waiting / finished_per_s, DRAIN_S_MAX) if finished_per_s > 0 else DRAIN_S_MAX
