"""Receiving and draining, with a manual clock."""

import asyncio

from billfleet_workers.runtime.consumer import Consumer
from billfleet_workers.runtime.gate import Gate
from billfleet_workers.runtime.handling import Finished, Work
from delivery_room import Room


async def settle_down() -> None:
    for _ in range(200):
        await asyncio.sleep(0)


def consumer_of(room: Room, *, receivers: int = 2, poll_wait_s: float = 20) -> Consumer:
    return Consumer(room.desk, receivers=receivers, poll_wait_s=poll_wait_s)


async def test_messages_are_received_and_finished_while_it_runs() -> None:
    room = Room()
    for number in range(25):
        room.send(f"A-{number}")
    consumer = consumer_of(room)
    consumer.start()
    await settle_down()
    assert len(room.handler.works) == 25
    draining = asyncio.create_task(consumer.drain(5))
    await room.clock.advance(21)
    assert await draining
    assert room.desk.tally.completed == 25


async def test_in_flight_never_passes_its_bound() -> None:
    room = Room()
    running, most, go_on = 0, 0, asyncio.Event()

    async def slow(work: Work) -> Finished:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go_on.wait()
        running -= 1
        return Finished()

    room.handler.act = slow
    for number in range(50):
        room.send(f"A-{number}")
    consumer = consumer_of(room, receivers=2)
    consumer.start()
    await settle_down()
    assert running == most == 20
    go_on.set()
    await settle_down()
    assert most == 20
    assert len(room.handler.works) == 50
    draining = asyncio.create_task(consumer.drain(5))
    await room.clock.advance(21)
    assert await draining


async def test_a_drain_takes_the_answer_of_the_poll_that_is_out_and_hands_it_back_unstarted() -> (
    None
):
    room = Room()
    consumer = consumer_of(room, receivers=1)
    consumer.start()
    await settle_down()
    draining = asyncio.create_task(consumer.drain(30))
    await settle_down()
    room.send("late")
    await settle_down()
    assert await draining
    assert room.handler.works == []
    assert room.desk.tally.handed_back == 1
    # Handed back means at once, not after a visibility timeout.
    assert len(await room.receive()) == 1


async def test_handlers_that_are_running_may_finish_inside_the_deadline() -> None:
    room = Room()
    go_on = asyncio.Event()

    async def slow(work: Work) -> Finished:
        await go_on.wait()
        return Finished()

    room.handler.act = slow
    room.send()
    consumer = consumer_of(room, receivers=1)
    consumer.start()
    await settle_down()
    draining = asyncio.create_task(consumer.drain(30))
    await settle_down()
    assert not draining.done()
    go_on.set()
    await room.clock.advance(21)
    assert await draining
    assert room.desk.tally.completed == 1
    assert room.queue.depth == 0


async def test_handlers_past_the_deadline_are_cancelled_and_their_messages_handed_back() -> None:
    room = Room()

    async def hang(work: Work) -> Finished:
        await asyncio.Event().wait()
        return Finished()

    room.handler.act = hang
    room.send()
    consumer = consumer_of(room, receivers=1)
    consumer.start()
    await settle_down()
    assert await consumer.drain(0.2)
    # Once from its handler, and once more when the poll that was still out caught it.
    assert room.desk.tally.handed_back == room.desk.tally.received == 2
    room.handler.act = Room().handler.act
    # Its claim was released and it is visible: another worker starts at once.
    (delivery,) = await room.run_once(room.new_desk())
    assert delivery.outcome is not None
    assert delivery.outcome.word == "done"


async def test_a_receive_that_fails_is_tried_again_and_nothing_dies() -> None:
    room = Room()
    room.send()
    room.queue.faults.take_away()
    consumer = consumer_of(room, receivers=1)
    consumer.start()
    await room.clock.advance(3)
    assert room.metrics.total("receive_failures") >= 2
    room.queue.faults.bring_back()
    await room.clock.advance(20)
    assert len(room.handler.works) == 1
    draining = asyncio.create_task(consumer.drain(5))
    await room.clock.advance(21)
    assert await draining


async def test_nothing_is_received_while_the_gate_is_shut() -> None:
    room = Room()
    consumer = consumer_of(room, receivers=1, poll_wait_s=1)
    room.desk.gate.shut("postgresql", "gone")
    consumer.start()
    room.send()
    await room.clock.advance(100)
    assert room.handler.works == []
    assert await consumer.drain(5)


async def test_the_gate_opens_when_the_probe_answers_again() -> None:
    room = Room()
    answers = iter([ConnectionError("no"), ConnectionError("no"), None])

    async def probe() -> None:
        error = next(answers)
        if error:
            raise error

    gate = Gate({"postgresql": probe}, room.clock)
    watching = asyncio.create_task(gate.watch())
    gate.shut("postgresql", "gone")
    waiting = asyncio.create_task(gate.wait_open())
    await room.clock.advance(0.3)
    assert not waiting.done()
    assert gate.away == {"postgresql": "gone"}
    await room.clock.advance(5)
    assert waiting.done()
    assert gate.away == {}
    watching.cancel()


async def test_a_receiver_that_dies_comes_back() -> None:
    room = Room()
    real = room.queue.receive
    failures = iter([RuntimeError("a defect")])

    class Breaking:
        name = "rebill"

        def __getattr__(self, verb: str) -> object:
            return getattr(room.queue, verb)

        async def receive(self, **kwargs: object) -> object:
            for error in failures:
                raise error
            return await real(**kwargs)  # type: ignore[arg-type]

    room.desk.queue = Breaking()  # type: ignore[assignment]
    room.send()
    consumer = consumer_of(room, receivers=1)
    consumer.start()
    await room.clock.advance(2)
    assert len(room.handler.works) == 1
    assert room.metrics.total("side_task_restarts") == 1
    draining = asyncio.create_task(consumer.drain(5))
    await room.clock.advance(21)
    assert await draining


async def test_a_poll_that_hangs_is_cut_its_connections_recycled_and_receiving_goes_on() -> None:
    room = Room()
    real = room.queue
    hangs, recycled = 1, 0

    class HangingOnce:
        def __getattr__(self, verb: str) -> object:
            return getattr(real, verb)

        async def receive(self, **how: object) -> object:
            nonlocal hangs
            if hangs:
                hangs -= 1
                await asyncio.Event().wait()
            return await real.receive(**how)  # type: ignore[arg-type]

        async def recycle(self) -> None:
            nonlocal recycled
            recycled += 1

    room.desk.queue = HangingOnce()  # type: ignore[assignment]
    room.send()
    consumer = consumer_of(room, receivers=1)
    consumer.start()
    await room.clock.advance(39)
    assert room.handler.works == []
    await room.clock.advance(10)
    assert len(room.handler.works) == 1
    assert recycled == 1
    draining = asyncio.create_task(consumer.drain(5))
    await room.clock.advance(21)
    assert await draining
