"""The picture: rates from beats, drain times from rates, whoever comes and goes."""

from datetime import UTC, datetime, timedelta

from billfleet_db.processes import Process
from billfleet_ops.commands.top import as_plain, drawn
from billfleet_ops.console.charts import chart, sparkline
from billfleet_ops.console.picture import Picture, QueuePicture, WatchedQueue
from billfleet_ops.output import Output
from billfleet_workers.runtime.backlog import DRAIN_S_MAX
from billfleet_workers.runtime.ports.dead_letters import QueueFacts

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
REBILL = WatchedQueue("rebill", "s-rebill", "s-rebill-dlq", "rebill")


def picture() -> Picture:
    return Picture("s", {"rebill": QueuePicture(REBILL)})


def facts(waiting: int, in_flight: int = 0, name: str = "s-rebill") -> QueueFacts:
    return QueueFacts("url", name, "arn", is_fifo=False, waiting=waiting, in_flight=in_flight)


def process(completed: int, worker_id: str = "w-1", oldest_s: float = 0.0) -> Process:
    queue = {
        "queue": "rebill",
        "in_flight": 1,
        "last_poll_age_s": 1.0,
        "oldest_unfinished_age_s": oldest_s,
        "tally": {"completed": completed, "dead_lettered": 1},
        "at_work": [],
    }
    detail = {
        "memory_bytes": 2**20,
        "loop_lag_ms": 1.0,
        "is_draining": False,
        "problems": [],
        "queues": [queue],
    }
    return Process(worker_id, "here", 7, "1.0", ["rebill"], START, START, detail)


def step(seen: Picture, after_s: float, processes: list[Process], waiting: int) -> QueuePicture:
    seen.put_processes(processes)
    seen.put_queue("rebill", facts(waiting), facts(2, 1), START + timedelta(seconds=after_s))
    return seen.queues["rebill"]


def test_what_was_done_before_the_first_look_is_no_rate() -> None:
    seen = picture()
    step(seen, 0, [process(1000)], waiting=100)
    assert step(seen, 10, [process(1050)], waiting=50).ended_per_s == 5.0


def test_drain_time_is_depth_by_rate_and_never_without_any() -> None:
    seen = picture()
    step(seen, 0, [process(0)], waiting=100)
    one = step(seen, 10, [process(0)], waiting=100)
    assert one.drain_s == DRAIN_S_MAX
    one = step(seen, 20, [process(100)], waiting=50)
    assert one.drain_s == 10
    assert one.drain_times() == [0, 0, 10]


def test_a_new_process_counts_from_its_start_and_a_dead_one_takes_nothing_back() -> None:
    seen = picture()
    step(seen, 0, [process(500, "old")], waiting=0)
    step(seen, 10, [process(500, "old"), process(9, "new")], waiting=0)
    one = step(seen, 20, [process(19, "new")], waiting=0)
    assert one.samples[-1].ended - one.samples[0].ended == 20
    assert one.readers == 1


def test_processes_that_are_heard_late_bring_their_past_along_and_that_is_no_rate() -> None:
    seen = picture()
    step(seen, 0, [], waiting=0)
    assert step(seen, 10, [process(5000)], waiting=0).ended_per_s == 0
    assert step(seen, 20, [process(5040)], waiting=0).ended_per_s == 2


def test_only_the_last_minute_counts_for_the_rate() -> None:
    seen = picture()
    step(seen, 0, [process(0)], waiting=0)
    step(seen, 100, [process(600)], waiting=0)
    assert step(seen, 160, [process(600)], waiting=0).ended_per_s == 0


def test_messages_that_nobody_reads_are_said_to_be_unread() -> None:
    seen = picture()
    assert step(seen, 0, [], waiting=3).is_unread
    assert not step(seen, 1, [process(0)], waiting=3).is_unread
    assert seen.dead_count == 3
    assert seen.by_dlq("s-rebill-dlq") is seen.queues["rebill"]
    assert seen.by_dlq("other") is None


def test_the_older_of_what_workers_and_sqs_know_is_shown() -> None:
    seen = picture()
    one = step(seen, 0, [process(0, oldest_s=40)], waiting=3)
    one.oldest_waiting_age_s = 90
    assert one.oldest_age_s == 90
    one.oldest_waiting_age_s = None
    assert one.oldest_age_s == 40


def test_top_draws_the_picture_and_spells_it_for_programs() -> None:
    seen = picture()
    step(seen, 0, [process(0)], waiting=100)
    seen.at, seen.problems = START, ["The queues can't be asked: gone"]
    output = Output()
    with output.console.capture() as captured:
        output.console.print(drawn(seen))
    shown = captured.get()
    assert "The queues can't be asked" in shown
    assert "here:7" in shown
    plain = as_plain(seen)
    assert plain["queues"][0]["waiting"] == 100
    assert plain["processes"][0]["worker_id"] == "w-1"


def test_a_chart_says_in_words_what_it_shows_and_escapes_them() -> None:
    line = sparkline([0, 5, 2], "<rebill> waiting")
    assert 'aria-label="&lt;rebill&gt; waiting: from 0 to 2, at most 5"' in line
    points = sparkline([*[0.0] * 100, 9, *[0.0] * 99], "peak").split('points="')[1]
    assert len(points.split('"')[0].split()) == 40
    assert ",2.0 " in points
    large = chart([1, 4], "waiting", shown=lambda value: f"{value:g}")
    assert 'aria-label="waiting: now 4, at most 4"' in large
    assert "not enough seen yet" in chart([1], "waiting", shown=str)
    assert sparkline([1], "one") == ""
