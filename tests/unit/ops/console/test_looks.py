"""Looks: everything is handed back, groups are of all, memory is bounded."""

from pathlib import Path

import pytest

from billfleet_ops.console.looks import KEPT_MAX, Look, Looks
from billfleet_ops.replay.filters import Filter
from billfleet_ops.replay.peek import Peek
from billfleet_ops.replay.reading import read
from billfleet_workers.runtime.ports.dead_letters import DeadMessage
from replay_room import START, ReplayRoom, body_of, buried


@pytest.fixture
async def room(tmp_path: Path) -> ReplayRoom:
    return ReplayRoom(tmp_path)


async def look_into(room: ReplayRoom, limit: int = 1000) -> Look:
    looks = Looks(room.letters, room.clock)
    look = looks.begin(await room.facts(), limit)
    assert looks.begin(await room.facts()) is look
    await looks.ended("test-rebill-dlq")
    return look


async def test_a_look_shows_every_message_and_hands_all_back(room: ReplayRoom) -> None:
    for number in range(25):
        room.letters.put(room.dlq, buried(body_of(f"A-{number}")))
    look = await look_into(room)
    assert (len(look.messages), look.is_whole, look.problem) == (25, True, None)
    assert room.letters.visible(room.dlq) == 25


async def test_a_message_is_found_by_any_of_its_ids_and_by_the_filters(room: ReplayRoom) -> None:
    body = body_of("A-1")
    message_id = room.letters.put(room.dlq, buried(body))
    room.letters.put(room.dlq, buried("no json with A-1", original_message_id="other"))
    look = await look_into(room)
    reading = look.find(message_id)
    assert reading is not None
    assert look.find("first-id") is reading
    assert look.find(reading.event_id or "") is reading
    assert look.find("unknown") is None
    assert look.matching(Filter(tenant="acme"), START) == [reading]
    assert len(look.matching(Filter(containing="A-1"), START)) == 2


async def test_a_look_stops_at_its_limit_and_says_that_it_is_not_whole(room: ReplayRoom) -> None:
    for number in range(60):
        room.letters.put(room.dlq, buried(body_of(f"A-{number}")))
    look = await look_into(room, limit=10)
    assert 10 <= look.peek.looked_at < 60
    assert not look.is_whole
    assert room.letters.visible(room.dlq) == 60


async def test_a_queue_with_a_dead_letter_queue_of_its_own_is_not_looked_into(
    room: ReplayRoom,
) -> None:
    looks = Looks(room.letters, room.clock)
    facts = await room.letters.describe("test-rebill")
    assert facts is not None
    look = looks.begin(facts)
    assert look.problem is not None
    assert not look.is_going_on


async def test_a_queue_that_cannot_be_asked_is_a_problem_of_the_look(room: ReplayRoom) -> None:
    room.letters.put(room.dlq, buried(body_of()))
    facts = await room.facts()
    room.letters.faults.take_away("gone")
    looks = Looks(room.letters, room.clock)
    look = looks.begin(facts)
    await looks.ended("test-rebill-dlq")
    assert look.problem == "The queue could not be asked."


async def test_messages_are_kept_up_to_a_bound_and_groups_are_of_all(room: ReplayRoom) -> None:
    facts = await room.facts()
    look = Look(facts, START, 1, Peek(facts))
    for number in range(KEPT_MAX + 10):
        look.add(read(DeadMessage(f"m-{number}", "h", "not json", 1, START)))
    assert len(look.messages) == KEPT_MAX
    assert look.peek.looked_at == KEPT_MAX + 10
