"""Visibility and lease live as long as the handler, and no longer than its deadline."""

import asyncio

from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.outcome import Retry
from delivery_room import LEASE_S, Room, words


async def test_a_long_handler_keeps_its_message_and_its_lease() -> None:
    room = Room()
    go_on = asyncio.Event()

    async def slow(work: Work) -> Finished:
        await go_on.wait()
        return Finished()

    room.handler.act = slow
    room.send()
    beating = asyncio.create_task(room.desk.heartbeat.run())
    running = asyncio.create_task(room.run_once())
    await room.clock.advance(LEASE_S * 4)
    assert await room.receive() == []
    room.send()
    assert words(await room.run_once(room.new_desk())) == ["retry"]
    go_on.set()
    assert words(await running) == ["done"]
    assert len(room.handler.works) == 1
    assert room.metrics.total("heartbeats") >= 4
    beating.cancel()


async def test_nothing_is_extended_past_its_deadline() -> None:
    room = Room()

    async def hang(work: Work) -> Finished:
        await asyncio.Event().wait()
        return Finished()

    room.handler.act = hang
    room.send()
    beating = asyncio.create_task(room.desk.heartbeat.run())
    running = asyncio.create_task(room.run_once())
    await room.clock.advance(room.desk.policy.deadline_s + LEASE_S * 3)
    assert len(await room.receive()) == 1
    running.cancel()
    beating.cancel()


async def test_a_handler_whose_lease_was_taken_is_cancelled() -> None:
    room = Room()
    started = asyncio.Event()

    async def hang_once(work: Work) -> Finished:
        if started.is_set():
            return Finished({"by": "second"})
        started.set()
        await asyncio.Event().wait()
        return Finished()

    room.handler.act = hang_once
    room.send()
    running = asyncio.create_task(room.run_once())
    await started.wait()
    await room.clock.advance(LEASE_S + 1)
    assert words(await room.run_once(room.new_desk())) == ["done"]
    await room.desk.heartbeat.beat()
    (delivery,) = await running
    assert isinstance(delivery.outcome, Retry)
    assert delivery.outcome.error_class == "LeaseLost"
    assert room.metrics.total("leases_lost") == 1


async def test_a_beat_that_fails_is_tried_again_at_the_next() -> None:
    room = Room()
    go_on = asyncio.Event()

    async def slow(work: Work) -> Finished:
        await go_on.wait()
        return Finished()

    room.handler.act = slow
    room.send()
    beating = asyncio.create_task(room.desk.heartbeat.run())
    running = asyncio.create_task(room.run_once())
    await room.clock.advance(15)
    room.dedupe.faults.take_away()
    await room.clock.advance(10)
    room.dedupe.faults.bring_back()
    await room.clock.advance(LEASE_S)
    assert await room.receive() == []
    go_on.set()
    assert words(await running) == ["done"]
    beating.cancel()


async def test_an_idle_heartbeat_calls_nobody() -> None:
    room = Room()
    room.dedupe.faults.take_away()
    room.queue.faults.take_away()
    await room.desk.heartbeat.beat()
    assert room.metrics.total("heartbeats") == 0
