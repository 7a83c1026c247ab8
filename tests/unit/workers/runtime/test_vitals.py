"""Alive means progress."""

import asyncio

from billfleet_workers.runtime.consumer import Consumer
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.vitals import Vitals
from delivery_room import Room


async def laid(room: Room) -> tuple[Consumer, Vitals]:
    consumer = Consumer(room.desk, receivers=1, poll_wait_s=20)
    return consumer, Vitals([consumer], room.desk.gate, room.clock, room.metrics)


async def test_an_idle_consumer_that_polls_is_alive_and_ready() -> None:
    room = Room()
    consumer, vitals = await laid(room)
    consumer.start()
    await room.clock.advance(500)
    assert vitals.liveness().is_well
    assert vitals.readiness().is_well
    draining = asyncio.create_task(consumer.drain(5))
    await room.clock.advance(21)
    assert await draining


async def test_a_poll_that_never_answers_is_no_progress() -> None:
    room = Room()

    class Hanging:
        name = "rebill"

        async def receive(self, **_how: object) -> object:
            await asyncio.Event().wait()
            return ()

        async def recycle(self) -> None:
            """As if new connections did not help either."""

    room.desk.queue = Hanging()  # type: ignore[assignment]
    consumer, vitals = await laid(room)
    consumer.start()
    await room.clock.advance(59)
    assert vitals.liveness().is_well
    await room.clock.advance(2)
    assert vitals.liveness().problems == ("queue rebill: no answer to a receive for 61 s",)
    assert room.metrics.total("receive_failures") == 1
    assert not vitals.readiness().is_well
    await consumer.drain(0.2)


async def test_a_consumer_full_of_long_handlers_is_alive() -> None:
    room = Room(in_flight_max=1)

    async def hang(work: Work) -> Finished:
        await asyncio.Event().wait()
        return Finished()

    room.handler.act = hang
    room.send()
    consumer, vitals = await laid(room)
    consumer.start()
    await room.clock.advance(200)
    assert consumer.in_flight == 1
    assert vitals.liveness().is_well
    await consumer.drain(0.2)


async def test_a_shut_gate_is_alive_and_not_ready() -> None:
    room = Room()
    consumer, vitals = await laid(room)
    room.desk.gate.shut("postgresql", "gone")
    consumer.start()
    await room.clock.advance(500)
    assert vitals.liveness().is_well
    assert vitals.readiness().problems == ("postgresql is away: gone",)
    await consumer.drain(0.2)


async def test_the_watchdog_is_fed_while_there_is_progress_and_not_after() -> None:
    room = Room()
    consumer, vitals = await laid(room)
    beats = 0

    def beat() -> None:
        nonlocal beats
        beats += 1

    watching = asyncio.create_task(vitals.watch(beat))
    await room.clock.advance(10)
    assert beats == 10
    await room.clock.advance(100)
    # It never started to receive: after three long polls' time it no longer counts as alive.
    assert beats == 60
    watching.cancel()
    await consumer.drain(0.2)


async def test_an_outage_of_sqs_is_alive_and_not_ready_for_a_restart_would_not_help() -> None:
    room = Room()
    room.queue.faults.take_away("gone")
    consumer, vitals = await laid(room)
    consumer.start()
    await room.clock.advance(500)
    assert vitals.liveness().is_well
    [problem] = vitals.readiness().problems
    assert "can't be received from" in problem
    room.queue.faults.bring_back()
    await room.clock.advance(41)
    assert vitals.readiness().is_well
    draining = asyncio.create_task(consumer.drain(5))
    await room.clock.advance(21)
    assert await draining
