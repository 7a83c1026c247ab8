"""The backlog watch turns depths and lives into the gauges of alarms."""

from collections.abc import Mapping
from datetime import UTC, datetime

from billfleet_workers.adapters.memory_metrics import MemoryMetrics
from billfleet_workers.runtime.backlog import DRAIN_S_MAX, BacklogWatch, Depth, Lives, drain_s
from billfleet_workers.runtime.clock import ManualClock
from billfleet_workers.runtime.ports.metrics import Gauge


class Fleet:
    def __init__(self) -> None:
        self.clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
        self.metrics = MemoryMetrics()
        self.waiting: int | None = 100
        self.lives = {"rebill": Lives(2, 0)}
        self.watch = BacklogWatch(
            self._depths, self._lives, self._figures, self.clock, self.metrics
        )

    async def _depths(self) -> list[Depth]:
        return [Depth("rebill", self.waiting, 3)]

    async def _lives(self) -> Mapping[str, Lives]:
        return self.lives

    async def _figures(self) -> Mapping[Gauge, float]:
        return {"accounts_parked": 1}

    def last(self, name: Gauge) -> float:
        return next(value for (one, _), value in self.metrics.gauges.items() if one == name)


async def test_backlog_is_shared_among_those_alive() -> None:
    fleet = Fleet()
    await fleet.watch.look()
    assert fleet.last("queue_waiting") == 100
    assert fleet.last("dead_letters") == 3
    assert fleet.last("workers_alive") == 2
    assert fleet.last("backlog_per_worker") == 50
    assert fleet.last("accounts_parked") == 1


async def test_drain_time_follows_the_pace_between_two_looks() -> None:
    fleet = Fleet()
    await fleet.watch.look()
    assert fleet.last("drain_s") == DRAIN_S_MAX
    fleet.lives = {"rebill": Lives(2, 50)}
    await fleet.clock.advance(10)
    await fleet.watch.look()
    assert fleet.last("drain_s") == 20


async def test_a_process_that_ended_takes_its_count_along_and_that_is_no_work() -> None:
    fleet = Fleet()
    fleet.lives = {"rebill": Lives(2, 500)}
    await fleet.watch.look()
    fleet.lives = {"rebill": Lives(1, 100)}
    await fleet.clock.advance(10)
    await fleet.watch.look()
    assert fleet.last("drain_s") == DRAIN_S_MAX


async def test_a_queue_that_could_not_be_asked_emits_no_depth() -> None:
    fleet = Fleet()
    fleet.waiting = None
    await fleet.watch.look()
    assert not [one for one, _ in fleet.metrics.gauges if one == "queue_waiting"]


def test_an_empty_queue_is_drained() -> None:
    assert drain_s(0, 0) == 0
