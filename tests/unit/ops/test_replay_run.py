"""Replaying over ports in memory: what is sent, what stays, and what a crash leaves behind."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from billfleet_ops.replay.addressing import AddressBook
from billfleet_ops.replay.canary import run_with_canary, watch
from billfleet_ops.replay.filters import Filter
from billfleet_ops.replay.journal import Journal
from billfleet_ops.replay.pace import Pace
from billfleet_ops.replay.peek import peek
from billfleet_ops.replay.plan import Forcing, Rules, Verdict
from billfleet_ops.replay.reading import read
from billfleet_ops.replay.run import Replayer, Sent
from billfleet_ops.replay.scan import Scan
from billfleet_ops.replay.taking import DoneOnly, take
from billfleet_ops.replay.views import exits_well
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.dead_letters import Copy
from billfleet_workers.runtime.ports.queue import EntryFailure
from replay_room import START, ReplayRoom, body_of, buried

REFUSED = EntryFailure("InvalidMessageContents", "no", retriable=False)
LOST = EntryFailure("NoAnswer", "not mentioned", retriable=True)


@pytest.fixture
def room(tmp_path: Path) -> ReplayRoom:
    return ReplayRoom(tmp_path)


def fill(room: ReplayRoom, count: int) -> None:
    for n in range(count):
        room.letters.put(room.dlq, buried(body_of(f"A-{n}"), original_message_id=f"first-{n}"))


def keys(room: ReplayRoom, url: str) -> list[str]:
    return [json.loads(copy.body)["dedupekey"] for copy in room.letters.copies(url)]


async def test_plan_changes_nothing_and_hands_everything_back(room: ReplayRoom) -> None:
    fill(room, 25)
    await room.finish(body_of("A-3"))
    report = await room.replayer(await room.request(acts=False)).run()
    assert report.verdicts == {Verdict.WILL_RUN: 24, Verdict.WILL_SKIP: 1}
    assert (report.sent, report.taken_out, report.looked_at) == (0, 0, 25)
    assert room.letters.visible(room.dlq) == 25
    assert room.letters.copies(room.queue) == []
    assert room.journal().step_of("m-1") is None


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_what_will_run_is_sent_and_leaves_and_what_is_done_stays(
    room: ReplayRoom, concurrency: int
) -> None:
    fill(room, 47)
    await room.finish(body_of("A-3"))
    report = await room.replayer(await room.request(concurrency=concurrency)).run()
    assert (report.sent, report.taken_out, report.stayed) == (46, 46, 1)
    assert keys(room, room.queue) == [f"A-{n}" for n in range(47) if n != 3] or concurrency > 1
    assert sorted(keys(room, room.queue) + keys(room, room.dlq)) == sorted(
        f"A-{n}" for n in range(47)
    )
    assert room.letters.visible(room.dlq) == 1
    assert exits_well(report)


async def test_filter_picks_and_the_others_are_handed_back(room: ReplayRoom) -> None:
    fill(room, 3)
    room.letters.put(room.dlq, buried(body_of("B-1", tenant="zeta")))
    report = await room.replayer(await room.request(meant=Filter(tenant="zeta"))).run()
    assert (report.sent, report.not_meant) == (1, 3)
    assert room.letters.visible(room.dlq) == 3


async def test_message_leaves_only_after_it_stands_in_its_queue(room: ReplayRoom) -> None:
    fill(room, 3)
    room.letters.faults.refuse_entries("send", None, REFUSED, LOST)
    report = await room.replayer(await room.request()).run()
    assert (report.sent, report.taken_out, report.failed) == (1, 1, 2)
    assert len(room.letters.copies(room.dlq)) == 2
    assert not exits_well(report)
    journal = room.journal()
    assert [journal.step_of(f"m-{n}") for n in (1, 2, 3)] == ["sent", None, "sending"]


async def test_message_that_was_sent_and_not_deleted_is_only_deleted_next_time(
    room: ReplayRoom,
) -> None:
    fill(room, 1)
    room.letters.faults.refuse_entries("delete", REFUSED)
    first = await room.replayer(await room.request()).run()
    assert (first.sent, first.taken_out) == (1, 0)
    again = await room.replayer(await room.request(run="run-2")).run()
    assert (again.sent, again.taken_out) == (0, 1)
    assert len(room.letters.copies(room.queue)) == 1
    assert room.letters.copies(room.dlq) == []


async def test_lost_answer_of_a_send_leaves_foreign_messages_and_says_so(tmp_path: Path) -> None:
    room = ReplayRoom(tmp_path, fleet=False)
    room.letters.put(room.dlq, Copy("anything"))
    room.letters.faults.lose_answers("send")
    with pytest.raises(ExceptionGroup) as failed:
        await room.replayer(await room.request()).run()
    assert failed.group_contains(Unavailable)
    assert room.letters.visible(room.dlq) == 1
    report = await room.replayer(await room.request(run="run-2")).run()
    assert report.verdicts == {Verdict.UNCERTAIN: 1}
    assert not exits_well(report)
    assert len(room.letters.copies(room.queue)) == 1
    forced = await room.request(run="run-3", rules=Rules(resend_uncertain=True))
    assert (await room.replayer(forced).run()).taken_out == 1


async def test_lost_answer_of_a_send_is_repeated_where_dedupe_guards_the_effect(
    room: ReplayRoom,
) -> None:
    fill(room, 1)
    room.letters.faults.lose_answers("send")
    with pytest.raises(ExceptionGroup):
        await room.replayer(await room.request()).run()
    report = await room.replayer(await room.request(run="run-2")).run()
    assert (report.sent, report.taken_out) == (1, 1)


async def test_forced_work_runs_again_once_its_record_is_gone(room: ReplayRoom) -> None:
    fill(room, 1)
    key = await room.finish(body_of("A-0"))
    wrong = Rules(Forcing(key, START + timedelta(seconds=1)))
    report = await room.replayer(await room.request(rules=wrong)).run()
    assert report.verdicts == {Verdict.WILL_SKIP: 1}
    assert (await room.dedupe.read([key]))[0] is not None
    report = await room.replayer(await room.request(rules=Rules(Forcing(key, START)))).run()
    assert report.sent == 1
    assert await room.dedupe.read([key]) == [None]


async def test_fifo_goes_home_in_order_and_a_failure_holds_its_group(tmp_path: Path) -> None:
    room = ReplayRoom(tmp_path, fifo=True)
    for n in range(4):
        for group in ("a", "b"):
            copy = buried(body_of(f"{group}-{n}"), group_id=group)
            room.letters.put(room.dlq, copy)
    # The first wave carries a-0 and b-0, the second a-1 and b-1: a-1 fails.
    room.letters.faults.refuse_entries("send", None, None, REFUSED)
    report = await room.replayer(await room.request()).run()
    home = keys(room, room.queue)
    assert [one for one in home if one.startswith("a")] == ["a-0"]
    assert [one for one in home if one.startswith("b")] == ["b-0", "b-1", "b-2", "b-3"]
    assert report.failed == 1
    assert keys(room, room.dlq) == ["a-1", "a-2", "a-3"]
    await room.replayer(await room.request(run="run-2")).run()
    home = keys(room, room.queue)
    assert [one for one in home if one.startswith("a")] == ["a-0", "a-1", "a-2", "a-3"]


async def test_message_that_comes_back_is_not_sent_again_and_stops_the_run(
    room: ReplayRoom,
) -> None:
    fill(room, 1)
    request = await room.request()
    replayer = room.replayer(request)
    await replayer.run()
    for _ in range(10):
        room.letters.put(room.dlq, buried(body_of("A-0"), original_message_id="first-0"))
    report = await replayer.run()
    assert report.verdicts[Verdict.RETURNED] == 10
    assert report.stopped == "10 messages came back"
    assert len(room.letters.copies(room.queue)) == 1
    assert not exits_well(report)


async def test_limit_sends_so_many_and_hands_the_rest_back(room: ReplayRoom) -> None:
    fill(room, 25)
    report = await room.replayer(await room.request(concurrency=3)).run(limit=12)
    assert report.sent == 12
    assert room.letters.visible(room.dlq) == 13


async def test_stop_finishes_what_is_in_hand_and_hands_the_rest_back(room: ReplayRoom) -> None:
    fill(room, 30)
    request = await room.request()
    stopping: list[Replayer] = []
    replayer = Replayer(
        room.tools(),
        request,
        pace=Pace(None, room.clock),
        progress=lambda _: stopping[0].stop("interrupted"),
    )
    stopping.append(replayer)
    report = await replayer.run()
    assert (report.sent, report.taken_out, report.stopped) == (10, 10, "interrupted")
    assert room.letters.visible(room.dlq) == 20


async def test_second_operator_does_not_see_what_the_first_has_in_hand(room: ReplayRoom) -> None:
    fill(room, 20)
    async with Scan(room.letters, room.dlq, clock=room.clock, hidden_s=60) as scan:
        scan.keep(await scan.next_batch())
        report = await room.replayer(await room.request()).run()
    assert report.sent == 10
    assert room.letters.visible(room.dlq) == 10


async def test_journal_of_another_process_is_read_as_it_grows(room: ReplayRoom) -> None:
    mine, theirs = room.journal(), room.journal()
    theirs.write("sent", ["m-1"], run="other", now=START)
    mine.refresh()
    assert mine.step_of("m-1") == "sent"


async def test_journal_line_that_a_crash_cut_short_is_passed_over(room: ReplayRoom) -> None:
    journal = room.journal()
    journal.write("sending", ["m-1", "m-2"], run="r", now=START)
    with journal.path.open("a") as file:
        file.write('{"step": "sent", "message_i')
    again = room.journal()
    again.write("sent", ["m-2"], run="r", now=START)
    last = room.journal()
    assert [last.step_of("m-1"), last.step_of("m-2")] == ["sending", "sent"]


async def test_pass_that_outlasts_the_hiding_still_sees_each_message_once(
    room: ReplayRoom,
) -> None:
    fill(room, 35)
    seen: list[str] = []
    async with Scan(room.letters, room.dlq, clock=room.clock, hidden_s=60) as scan:
        while batch := await scan.next_batch():
            scan.keep(batch)
            seen += [one.message_id for one in batch]
            await room.clock.advance(61 if len(seen) == 10 else 0)
    assert sorted(seen) == sorted(f"m-{n}" for n in range(1, 36))
    assert room.letters.visible(room.dlq) == 35


async def test_rate_spreads_what_is_sent(room: ReplayRoom) -> None:
    pace = Pace(10.0, room.clock)
    taking = asyncio.gather(pace.take(10), pace.take(10))
    await room.clock.advance(0.9)
    assert not taking.done()
    await room.clock.advance(0.2)
    assert taking.done()


async def test_message_in_hand_stays_hidden_however_long_it_takes(room: ReplayRoom) -> None:
    fill(room, 1)
    async with Scan(room.letters, room.dlq, clock=room.clock, hidden_s=60) as scan:
        batch = await scan.next_batch()
        async with scan.kept_hidden(batch):
            await room.clock.advance(600)
            assert room.letters.visible(room.dlq) == 0
        scan.keep(batch)
    assert room.letters.visible(room.dlq) == 1


async def test_good_canaries_let_the_rest_go(room: ReplayRoom) -> None:
    fill(room, 25)
    request, tools = await room.request(), room.tools()
    replayer = room.replayer(request, tools)
    running = asyncio.create_task(run_with_canary(replayer, tools, request, count=2, wait_s=60))
    await room.clock.advance(1)
    assert len(room.letters.copies(room.queue)) == 2
    for account in ("A-0", "A-1"):
        await room.finish(body_of(account))
    await room.clock.advance(2)
    report, outcomes = await running
    assert (len(outcomes.done), outcomes.are_good) == (2, True)
    assert (report.sent, report.looked_at) == (25, 25)
    assert exits_well(report)


async def test_canary_that_comes_back_stops_the_rest(room: ReplayRoom) -> None:
    fill(room, 25)
    request, tools = await room.request(), room.tools()
    replayer = room.replayer(request, tools)
    running = asyncio.create_task(run_with_canary(replayer, tools, request, count=2, wait_s=60))
    await room.clock.advance(0.5)
    room.letters.put(room.dlq, buried(body_of("A-0"), original_message_id="first-0"))
    await room.clock.advance(10)
    report, outcomes = await running
    assert outcomes.returned == ["first-0"]
    assert "1 of 2 came back" in (report.stopped or "")
    assert report.sent == 2
    assert not exits_well(report)
    assert room.letters.visible(room.dlq) == 24


async def test_interruption_while_canaries_are_watched_ends_the_watch(room: ReplayRoom) -> None:
    fill(room, 5)
    request, tools = await room.request(), room.tools()
    replayer = room.replayer(request, tools)
    running = asyncio.create_task(run_with_canary(replayer, tools, request, count=1, wait_s=600))
    await room.clock.advance(2)
    replayer.stop("interrupted")
    await room.clock.advance(2)
    report, _ = await running
    assert (report.sent, report.stopped) == (1, "interrupted")
    assert room.letters.visible(room.dlq) == 4


async def test_canary_without_an_outcome_stops_the_rest(room: ReplayRoom) -> None:
    fill(room, 5)
    request, tools = await room.request(), room.tools()
    running = asyncio.create_task(
        run_with_canary(room.replayer(request, tools), tools, request, count=1, wait_s=60)
    )
    await room.clock.advance(70)
    report, outcomes = await running
    assert outcomes.silent == ["first-0"]
    assert report.sent == 1


async def test_canary_of_a_foreign_queue_is_good_if_it_did_not_come_back(
    room: ReplayRoom,
) -> None:
    watching = asyncio.create_task(
        watch(room.tools(), await room.request(), [Sent("x", None, START)], {"m-1"}, 30)
    )
    await room.clock.advance(40)
    assert (await watching).are_good


async def test_peek_groups_by_cause_and_hands_back_at_once(room: ReplayRoom) -> None:
    fill(room, 12)
    room.letters.put(room.dlq, Copy("foreign"))
    seen = await peek(room.letters, await room.facts(), room.clock, limit=100)
    assert {group.count for group in seen.groups.values()} == {12, 1}
    assert seen.is_whole
    assert seen.oldest_at is not None
    assert room.letters.visible(room.dlq) == 13
    short = await peek(room.letters, await room.facts(), room.clock, limit=5)
    assert (short.looked_at, short.is_whole) == (5, False)


async def test_purge_copies_before_it_deletes_and_takes_only_what_is_done(
    room: ReplayRoom, tmp_path: Path
) -> None:
    fill(room, 3)
    await room.finish(body_of("A-1"))
    path = tmp_path / "copy.jsonl"
    with path.open("w") as into:
        taken = await take(
            room.letters,
            await room.facts(),
            room.clock,
            Filter(),
            into=into,
            deletes=True,
            done_only=DoneOnly(room.dedupe, room.book),
        )
    assert (taken.looked_at, taken.meant, taken.deleted) == (3, 1, 1)
    [line] = path.read_text().splitlines()
    assert json.loads(json.loads(line)["body"])["dedupekey"] == "A-1"
    assert room.letters.visible(room.dlq) == 2


async def test_message_without_an_address_stays_until_one_is_named(room: ReplayRoom) -> None:
    room.letters.put(room.dlq, Copy("x"))
    nowhere = AddressBook(None, {}, [])
    report = await room.replayer(await room.request(book=nowhere)).run()
    assert report.verdicts == {Verdict.NO_ADDRESS: 1}
    assert not exits_well(report)


async def test_reading_knows_a_message_by_any_of_its_ids(room: ReplayRoom) -> None:
    fill(room, 1)
    [one] = await room.letters.receive(room.dlq, limit=1, wait_s=0, visibility_timeout_s=0)
    reading = read(one)
    assert reading.event_id is not None
    assert all(map(reading.is_called, ("m-1", "first-0", reading.event_id)))
    assert not reading.is_called("m-2")


def test_journals_of_two_queues_are_two_files(tmp_path: Path) -> None:
    paths = {
        Journal.open(tmp_path, "dlq", url).path for url in ("https://a/1/dlq", "https://b/2/dlq")
    }
    assert len(paths) == 2


async def test_second_copy_that_was_buried_before_is_no_return(room: ReplayRoom) -> None:
    fill(room, 11)
    room.letters.put(room.dlq, buried(body_of("A-0"), original_message_id="first-0"))
    await room.clock.advance(60)
    report = await room.replayer(await room.request()).run()
    assert report.verdicts == {Verdict.WILL_RUN: 12}


async def test_what_another_process_sent_meanwhile_is_only_taken_out(room: ReplayRoom) -> None:
    fill(room, 1)
    replayer = room.replayer(await room.request())
    room.journal().write("sent", ["m-1"], run="other", now=START)
    report = await replayer.run()
    assert (report.sent, report.taken_out) == (0, 1)


async def test_fifo_message_that_is_not_meant_holds_its_group(tmp_path: Path) -> None:
    room = ReplayRoom(tmp_path, fifo=True)
    for account, tenant, group in (("1", "zeta", "a"), ("2", "acme", "a"), ("3", "acme", "b")):
        room.letters.put(room.dlq, buried(body_of(account, tenant=tenant), group_id=group))
    report = await room.replayer(await room.request(meant=Filter(tenant="acme"))).run()
    assert report.verdicts == {Verdict.GROUP_WAITS: 1, Verdict.WILL_RUN: 1}
    assert keys(room, room.queue) == ["3"]


async def test_canary_that_could_not_be_deleted_yet_is_no_return(room: ReplayRoom) -> None:
    fill(room, 1)
    room.letters.faults.refuse_entries("delete", REFUSED)
    request, tools = await room.request(), room.tools()
    running = asyncio.create_task(
        run_with_canary(room.replayer(request, tools), tools, request, count=1, wait_s=60)
    )
    await room.clock.advance(1)
    await room.finish(body_of("A-0"))
    await room.clock.advance(5)
    report, outcomes = await running
    assert (outcomes.returned, outcomes.done) == ([], ["first-0"])
    assert (report.sent, report.taken_out) == (1, 1)


async def test_done_with_another_payload_is_not_purged_as_done(room: ReplayRoom) -> None:
    room.letters.put(room.dlq, buried(body_of("A-1", key="k")))
    await room.finish(body_of("A-2", key="k"))
    taken = await take(
        room.letters,
        await room.facts(),
        room.clock,
        Filter(),
        into=None,
        deletes=True,
        done_only=DoneOnly(room.dedupe, room.book),
    )
    assert taken.deleted == 0
    assert room.letters.visible(room.dlq) == 1
