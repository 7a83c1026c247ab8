"""The real runtime on a few hundred schedules, and on the same schedule twice."""

import pytest

from simulation.plan import draw
from simulation.quiet_logs import dropped_logs
from simulation.world import run

SEEDS = 400
CHUNK = 100


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_rule_holds_on_every_schedule(first: int) -> None:
    """R8, R46, R47: whatever repeats or dies, each accepted event has its one effect."""
    with dropped_logs():
        for seed in range(first, first + CHUNK):
            violation = run(draw(seed)).violation
            assert violation is None, f"seed {seed}: {violation}; see tests/simulation/README.md"


@pytest.mark.parametrize("seed", [3, 5, 11])
def test_one_seed_is_one_schedule(seed: int) -> None:
    with dropped_logs():
        first, second = (run(draw(seed), is_told=True) for _ in range(2))
    assert first.story.lines
    assert str(first.story) == str(second.story)


def test_another_order_is_another_schedule() -> None:
    with dropped_logs():
        stories = {str(run(draw(seed), is_told=True).story) for seed in (3, 5, 11)}
    assert len(stories) == 3


def test_the_seeds_reach_what_they_are_for() -> None:
    """Crashes, drains, freezes, both kinds of queue and both stores are in the first schedules."""
    plans = [draw(seed) for seed in range(SEEDS)]
    lives = [life for plan in plans for worker in plan.workers for life in worker.lives]
    assert {plan.fifo for plan in plans} == {True, False}
    assert {plan.store for plan in plans} == {"model", "dynamodb"}
    assert any(life.crash_at_step for life in lives)
    assert any(life.drain_at_s for life in lives)
    assert any(worker.freezes for plan in plans for worker in plan.workers)
    assert {fault.kind for plan in plans for fault in plan.faults} == {
        "throttle", "lost", "late", "slow", "partial", "entries", "twice", "hang",
    }  # fmt: skip
    assert {event.kind for plan in plans for event in plan.events} == {
        "work", "garbage", "stranger", "imposter", "again",
    }  # fmt: skip
