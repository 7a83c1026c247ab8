"""The queue in memory, by a clock that is moved by hand, and its failures on request."""

import asyncio
from datetime import UTC, datetime

import pytest

from billfleet_workers.adapters.memory_faults import THROTTLED
from billfleet_workers.adapters.memory_queue import MemoryQueue
from billfleet_workers.runtime.clock import ManualClock
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.queue import Burial, Hiding, Received


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 31, tzinfo=UTC))


@pytest.fixture
def queue(clock: ManualClock) -> MemoryQueue:
    return MemoryQueue("rebill", clock)


async def take(queue: MemoryQueue, wait_s: float = 0) -> list[Received]:
    return list(await queue.receive(limit=10, wait_s=wait_s, visibility_timeout_s=60))


async def test_poll_ends_when_its_time_is_up(queue: MemoryQueue, clock: ManualClock) -> None:
    polling = asyncio.create_task(take(queue, wait_s=20))
    await clock.advance(19.9)
    assert not polling.done()
    await clock.advance(0.2)
    assert await polling == []


async def test_poll_wakes_when_a_hidden_message_comes_back(
    queue: MemoryQueue, clock: ManualClock
) -> None:
    queue.send("body")
    await take(queue)
    polling = asyncio.create_task(take(queue, wait_s=100))
    await clock.advance(59)
    assert not polling.done()
    assert queue.in_flight == 1
    await clock.advance(2)
    assert [one.receive_count for one in await polling] == [2]


async def test_poll_wakes_when_another_worker_hands_a_message_back(
    queue: MemoryQueue, clock: ManualClock
) -> None:
    queue.send("body")
    [one] = await take(queue)
    polling = asyncio.create_task(take(queue, wait_s=20))
    await clock.advance(1)
    await queue.hide([Hiding(one.receipt_handle, 0)])
    assert len(await polling) == 1


async def test_delayed_message_comes_when_its_time_does(
    queue: MemoryQueue, clock: ManualClock
) -> None:
    queue.send("body", delay_s=30)
    assert await take(queue) == []
    await clock.advance(30)
    assert len(await take(queue)) == 1


async def test_only_one_of_two_pollers_gets_a_message(
    queue: MemoryQueue, clock: ManualClock
) -> None:
    polls = [asyncio.create_task(take(queue, wait_s=5)) for _ in range(2)]
    await clock.advance(1)
    queue.send("body")
    await clock.advance(10)
    assert sorted([len(await poll) for poll in polls]) == [0, 1]


async def test_service_that_is_away_comes_back(queue: MemoryQueue) -> None:
    queue.send("body")
    queue.faults.take_away("maintenance")
    with pytest.raises(Unavailable, match="maintenance"):
        await take(queue)
    queue.faults.bring_back()
    assert len(await take(queue)) == 1


async def test_lost_answer_means_that_the_work_was_done(queue: MemoryQueue) -> None:
    queue.send("body")
    queue.faults.lose_answers("receive")
    with pytest.raises(Unavailable, match="lost"):
        await take(queue)
    assert queue.in_flight == 1


async def test_entries_are_refused_in_the_order_asked_for(queue: MemoryQueue) -> None:
    for n in range(3):
        queue.send(f"body {n}")
    received = await take(queue)
    queue.faults.refuse_entries("delete", None, THROTTLED)
    answers = await queue.delete([one.receipt_handle for one in received])
    assert list(answers) == [None, THROTTLED, None]
    assert queue.depth == 1
    queue.faults.refuse_entries("bury", THROTTLED)
    assert await queue.bury([Burial("id", "body", {})]) == [THROTTLED]
    assert queue.dead_letters == []
