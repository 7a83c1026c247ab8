"""Beats tell what is at work and how old it is, and never disturb work."""

import asyncio

from billfleet_workers.runtime.beats import Beat, Beats, Identity, memory_bytes
from billfleet_workers.runtime.consumer import Consumer
from billfleet_workers.runtime.errors import Permanent, Transient, Unavailable
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.recollection import GRACE_S, SETBACKS_MAX, Ended, Recollection
from billfleet_workers.runtime.vitals import Vitals
from delivery_room import Room


class Heard:
    def __init__(self) -> None:
        self.beats: list[Beat] = []
        self.is_away = False

    async def send(self, beat: Beat) -> None:
        if self.is_away:
            raise Unavailable("postgresql", "gone")
        self.beats.append(beat)


def laid(room: Room) -> tuple[Consumer, Beats, Heard]:
    consumer = Consumer(room.desk, receivers=1, poll_wait_s=20)
    vitals = Vitals([consumer], room.desk.gate, room.clock, room.metrics)
    identity = Identity("w-1", "here", 1, "1.0", ("rebill",), room.clock.now())
    heard = Heard()
    return (
        consumer,
        Beats(identity, vitals, [consumer], room.clock, room.metrics, heard.send),
        heard,
    )


async def test_a_beat_names_what_is_at_work_with_its_age() -> None:
    room = Room()

    async def hang(_: Work) -> Finished:
        await asyncio.Event().wait()
        return Finished()

    room.handler.act = hang
    room.send()
    consumer, beats, _ = laid(room)
    consumer.start()
    await room.clock.advance(7)
    [queue] = beats.take().queues
    [one] = queue.at_work
    assert (one.age_s, one.is_handled, one.tenant) == (7.0, True, "acme")
    assert queue.in_flight == 1
    assert queue.oldest_unfinished_age_s >= 7
    await consumer.drain(0.2)


async def test_a_message_that_went_back_stays_the_oldest_until_it_ends() -> None:
    room = Room()
    fails = True

    async def act(_: Work) -> Finished:
        if fails:
            raise Transient("a deadlock", retry_after_s=30)
        return Finished()

    room.handler.act = act
    room.send()
    consumer, beats, _ = laid(room)
    consumer.start()
    await room.clock.advance(20)
    [queue] = beats.take().queues
    assert queue.in_flight == 0
    assert queue.oldest_unfinished_age_s >= 20
    await beats.beat()
    assert room.metrics.gauges["oldest_unfinished_age_s", (("queue", "rebill"),)] >= 20
    fails = False
    await room.clock.advance(60)
    assert beats.take().queues[0].oldest_unfinished_age_s == 0
    draining = asyncio.create_task(consumer.drain(5))
    await room.clock.advance(21)
    assert await draining


async def test_how_a_delivery_ended_travels_with_the_next_beat_and_only_once() -> None:
    room = Room()

    async def act(_: Work) -> Finished:
        raise Permanent("no such account")

    room.handler.act = act
    room.send()
    consumer, beats, heard = laid(room)
    consumer.start()
    await room.clock.advance(1)
    await beats.beat()
    await beats.beat()
    [told, nothing] = heard.beats
    [ended] = told.ended
    assert (ended.outcome, ended.note, ended.tenant) == ("poison", "no such account", "acme")
    assert nothing.ended == ()
    draining = asyncio.create_task(consumer.drain(5))
    await room.clock.advance(21)
    assert await draining


async def test_a_beat_that_nobody_takes_is_missed_and_the_next_one_comes() -> None:
    room = Room()
    _, beats, heard = laid(room)
    heard.is_away = True
    running = asyncio.create_task(beats.run())
    await room.clock.advance(25)
    heard.is_away = False
    await room.clock.advance(10)
    assert len(heard.beats) == 1
    running.cancel()


async def test_what_does_not_come_back_is_forgotten_after_a_grace_time() -> None:
    room, recollection = Room(), Recollection()
    recollection.went_back("m-1", room.clock.now(), back_at_s=30)
    assert recollection.oldest_sent_at(30 + GRACE_S) == room.clock.now()
    assert recollection.oldest_sent_at(31 + GRACE_S) is None


def ended(number: int, outcome: str) -> Ended:
    return Ended(
        Room().clock.now(),
        "rebill",
        str(number),
        None,
        "t",
        None,
        None,
        None,
        outcome,
        "",
        "",
        1,
        0,
    )


def test_in_an_outage_the_newest_setbacks_are_kept_and_the_others_counted() -> None:
    recollection = Recollection(keeps_done=False)
    for number in range(SETBACKS_MAX + 3):
        recollection.note(ended(number, "retry"), is_setback=True)
    recollection.note(ended(-1, "done"), is_setback=False)
    taken = recollection.take()
    assert (len(taken), taken[0].message_id, recollection.left_out) == (SETBACKS_MAX, "3", 3)


async def test_memory_is_read_from_the_system_and_is_zero_where_it_does_not_say(
    tmp_path: object,
) -> None:
    from pathlib import Path

    assert memory_bytes() > 1_000_000
    assert memory_bytes(Path(str(tmp_path)) / "none") == 0
