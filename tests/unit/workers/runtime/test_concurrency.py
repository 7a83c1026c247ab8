"""The limit gives way when handlers slow down, and comes back."""

from billfleet_workers.runtime.concurrency import WINDOW, Concurrency


def windows(
    concurrency: Concurrency, count: int, ms: float, *, failed: bool = False, full: bool = True
) -> None:
    for _ in range(count):
        if full:
            concurrency.note_full()
        for _ in range(WINDOW):
            concurrency.ended(ms, failed=failed)


def test_it_starts_at_its_ceiling_and_stays_there_while_all_is_well() -> None:
    concurrency = Concurrency(10, 100)
    windows(concurrency, 20, 10)
    assert concurrency.limit == 100


def test_slower_handlers_take_it_down_to_the_floor_and_not_below() -> None:
    concurrency = Concurrency(10, 100)
    windows(concurrency, 3, 10)
    windows(concurrency, 1, 50)
    assert concurrency.limit == 70
    windows(concurrency, 20, 50)
    assert concurrency.limit == 10


def test_it_climbs_back_step_by_step_when_they_recover() -> None:
    concurrency = Concurrency(10, 100)
    windows(concurrency, 3, 10)
    windows(concurrency, 20, 50)
    windows(concurrency, 3, 10)
    assert concurrency.limit == 22
    windows(concurrency, 100, 10)
    assert concurrency.limit == 100


def test_it_does_not_grow_when_nobody_needs_more() -> None:
    concurrency = Concurrency(10, 100, limit=20)
    windows(concurrency, 20, 10, full=False)
    assert concurrency.limit == 20


def test_failures_take_it_down_however_fast_they_are() -> None:
    concurrency = Concurrency(10, 100)
    windows(concurrency, 10, 1, failed=True)
    assert concurrency.limit == 10


def test_a_dependency_that_is_slower_for_good_is_accepted_in_the_end() -> None:
    concurrency = Concurrency(10, 100)
    windows(concurrency, 3, 10)
    windows(concurrency, 300, 30)
    assert concurrency.limit == 100


def test_jitter_of_very_fast_handlers_is_not_taken_for_slowness() -> None:
    concurrency = Concurrency(10, 100)
    windows(concurrency, 3, 0.1)
    windows(concurrency, 5, 3.0)
    assert concurrency.limit == 100
