"""Set-based handlers: one call for many messages, and nobody pays for a neighbour."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from billfleet_contracts import RebillAccounts
from billfleet_workers.runtime.delivery import Life
from billfleet_workers.runtime.errors import Permanent, Transient, Unavailable
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.in_flight import Delivery
from billfleet_workers.runtime.outcome import Done, Poison, Retry
from billfleet_workers.runtime.ports.dedupe import Held
from delivery_room import LEASE_S, Room, body_for, words

ActOnAll = Callable[[Sequence[Work]], Awaitable[Sequence[Finished | Exception]]]


def account_of(work: Work) -> str:
    event = work.envelope.data
    assert isinstance(event, RebillAccounts)
    return event.accounts[0].account_id


async def finish_all(works: Sequence[Work]) -> list[Finished | Exception]:
    return [Finished({"account": account_of(work)}) for work in works]


class Together:
    """A set-based handler that remembers who came with whom."""

    def __init__(self, act: ActOnAll = finish_all, batch_max: int = 10) -> None:
        self.batch_max = batch_max
        self.calls: list[list[str]] = []
        self._act = act

    async def handle_batch(self, works: Sequence[Work]) -> Sequence[Finished | Exception]:
        self.calls.append([account_of(work) for work in works])
        return await self._act(works)


def room_of(handler: Together) -> Room:
    room = Room()
    room.desk.handlers = {RebillAccounts.TYPE: handler}
    room.desk.gather_s = 0.0
    return room


def send(room: Room, *accounts: str) -> None:
    for account in accounts:
        room.queue.send(body_for(account), group_id=account[0])


async def settle_down() -> None:
    for _ in range(100):
        await asyncio.sleep(0)


async def test_many_messages_are_handled_in_one_call_and_each_has_its_answer() -> None:
    handler = Together()
    room = room_of(handler)
    send(room, "A-1", "A-2", "A-3")
    deliveries = await room.run_once()
    assert handler.calls == [["A-1", "A-2", "A-3"]]
    assert [delivery.outcome for delivery in deliveries] == [
        Done(note=f'{{"account":"A-{number}"}}') for number in (1, 2, 3)
    ]
    assert room.queue.depth == 0


async def test_a_call_takes_no_more_than_the_handler_says() -> None:
    handler = Together(batch_max=2)
    room = room_of(handler)
    send(room, "A-1", "A-2", "A-3", "A-4", "A-5")
    await room.run_once()
    assert [len(call) for call in handler.calls] == [2, 2, 1]


async def test_messages_of_several_receives_gather_for_one_call() -> None:
    handler = Together()
    room = room_of(handler)
    room.desk.gather_s = 0.02
    life = Life(room.desk)
    for account in ("A-1", "A-2"):
        send(room, account)
        life.begin(await room.receive())
        await room.clock.advance(0.01)
    await room.clock.advance(0.02)
    assert handler.calls == [["A-1", "A-2"]]
    await life.ended()


async def test_one_refused_message_does_not_touch_its_neighbours() -> None:
    async def act(works: Sequence[Work]) -> list[Finished | Exception]:
        return [Permanent("never") if account_of(work) == "A-2" else Finished() for work in works]

    room = room_of(Together(act))
    send(room, "A-1", "A-2", "A-3")
    assert words(await room.run_once()) == ["done", "poison", "done"]


async def test_when_a_whole_call_fails_each_message_runs_alone_and_only_the_guilty_fails() -> None:
    async def act(works: Sequence[Work]) -> list[Finished | Exception]:
        if any(account_of(work) == "A-2" for work in works):
            raise ValueError("a defect")
        return [Finished() for _ in works]

    handler = Together(act)
    room = room_of(handler)
    send(room, "A-1", "A-2", "A-3")
    deliveries = await room.run_once()
    assert words(deliveries) == ["done", "retry", "done"]
    assert handler.calls == [["A-1", "A-2", "A-3"], ["A-1"], ["A-2"], ["A-3"]]
    assert isinstance(deliveries[1].outcome, Retry)
    assert deliveries[1].outcome.reason == "ValueError: a defect"


async def test_a_single_message_whose_call_fails_is_not_tried_twice() -> None:
    async def act(works: Sequence[Work]) -> list[Finished | Exception]:
        raise Transient("busy")

    handler = Together(act)
    room = room_of(handler)
    send(room, "A-1")
    assert words(await room.run_once()) == ["retry"]
    assert handler.calls == [["A-1"]]


@pytest.mark.parametrize("says", [0, 1, 5])
async def test_answers_that_do_not_match_the_works_are_believed_by_nobody(says: int) -> None:
    async def act(works: Sequence[Work]) -> list[Finished | Exception]:
        return [Finished()] * says if len(works) == 2 else [Finished()] * len(works)

    handler = Together(act)
    room = room_of(handler)
    send(room, "A-1", "A-2")
    assert words(await room.run_once()) == ["done", "done"]
    assert handler.calls == [["A-1", "A-2"], ["A-1"], ["A-2"]]


async def test_an_outage_sends_all_back_unharmed_and_shuts_the_gate() -> None:
    async def act(works: Sequence[Work]) -> list[Finished | Exception]:
        raise Unavailable("PostgreSQL", "gone")

    handler = Together(act)
    room = room_of(handler)
    room.desk.policy = room.desk.policy.__class__(
        visibility_timeout_s=60, lease_s=LEASE_S, deadline_s=300, attempts_max=1, retain_s=60
    )
    send(room, "A-1", "A-2")
    assert words(await room.run_once()) == ["retry", "retry"]
    assert len(handler.calls) == 1
    assert room.desk.gate.away == {"PostgreSQL": "PostgreSQL is unavailable: gone"}


async def test_an_outage_that_one_answer_reports_shuts_the_gate_too() -> None:
    async def act(works: Sequence[Work]) -> list[Finished | Exception]:
        return [Unavailable("PostgreSQL", "gone"), Finished()]

    room = room_of(Together(act))
    send(room, "A-1", "A-2")
    assert words(await room.run_once()) == ["retry", "done"]
    assert not room.desk.gate.is_open


async def hang_with(account: str, works: Sequence[Work]) -> list[Finished | Exception]:
    if any(account_of(work) == account for work in works):
        await asyncio.Event().wait()
    return [Finished() for _ in works]


def outcomes(room: Room, begun: Sequence[Delivery]) -> dict[str, str]:
    return {
        account_of_delivery(delivery): delivery.outcome.word
        for delivery in begun
        if delivery.outcome is not None
    }


def account_of_delivery(delivery: Delivery) -> str:
    assert delivery.envelope is not None
    event = delivery.envelope.data
    assert isinstance(event, RebillAccounts)
    return event.accounts[0].account_id


async def test_past_its_deadline_a_call_is_cancelled_and_only_the_hanging_message_pays() -> None:
    handler = Together(lambda works: hang_with("A-2", works))
    room = room_of(handler)
    send(room, "A-1", "A-2", "A-3")
    life = Life(room.desk)
    begun = life.begin(await room.receive())
    beating = asyncio.create_task(room.desk.heartbeat.run())
    await room.clock.advance(room.desk.policy.deadline_s + 11)
    assert outcomes(room, begun) == {"A-1": "done", "A-3": "done"}
    await room.clock.advance(room.desk.policy.deadline_s + 11)
    assert outcomes(room, begun) == {"A-1": "done", "A-2": "retry", "A-3": "done"}
    hanging = next(one for one in begun if account_of_delivery(one) == "A-2")
    assert isinstance(hanging.outcome, Retry)
    assert hanging.outcome.reason == "the handler ran past its deadline"
    beating.cancel()


async def test_a_lost_lease_stops_the_call_and_the_neighbours_go_on_without_it() -> None:
    let_go = asyncio.Event()

    async def act(works: Sequence[Work]) -> list[Finished | Exception]:
        if len(works) > 1:
            await let_go.wait()
        return [Finished() for _ in works]

    handler = Together(act)
    room = room_of(handler)
    send(room, "A-1", "A-2")
    life = Life(room.desk)
    begun = life.begin(await room.receive())
    await settle_down()
    await room.dedupe.release([Held(begun[0].key, begun[0].token)])
    beating = asyncio.create_task(room.desk.heartbeat.run())
    await room.clock.advance(LEASE_S / 2)
    assert handler.calls == [["A-1", "A-2"], ["A-2"]]
    assert outcomes(room, begun) == {"A-1": "retry", "A-2": "done"}
    assert isinstance(begun[0].outcome, Retry)
    assert begun[0].outcome.error_class == "LeaseLost"
    beating.cancel()


async def test_a_lease_lost_while_gathering_is_noticed_before_the_call() -> None:
    handler = Together()
    room = room_of(handler)
    room.desk.gather_s = LEASE_S
    send(room, "A-1", "A-2")
    life = Life(room.desk)
    begun = life.begin(await room.receive())
    await settle_down()
    await room.dedupe.release([Held(begun[0].key, begun[0].token)])
    beating = asyncio.create_task(room.desk.heartbeat.run())
    await room.clock.advance(LEASE_S + 1)
    assert handler.calls == [["A-2"]]
    assert outcomes(room, begun) == {"A-1": "retry", "A-2": "done"}
    beating.cancel()


async def test_a_duplicate_follows_its_leader_through_the_call() -> None:
    handler = Together()
    room = room_of(handler)
    send(room, "A-1", "A-1", "A-2")
    assert words(await room.run_once()) == ["done", "duplicate", "done"]
    assert handler.calls == [["A-1", "A-2"]]


async def test_a_fifo_call_has_one_message_of_each_group_and_keeps_their_order() -> None:
    handler = Together()
    room = room_of(handler)
    room.desk.fifo = True
    send(room, "a-0", "a-1", "b-0", "b-1", "c-0")
    await room.run_once()
    assert handler.calls == [["a-0", "b-0", "c-0"], ["a-1", "b-1"]]


async def test_a_drain_does_not_wait_for_more_messages_to_gather() -> None:
    handler = Together()
    room = room_of(handler)
    room.desk.gather_s = 600.0
    send(room, "A-1", "A-2")
    assert words(await room.run_once()) == ["done", "done"]


async def test_a_drain_out_of_time_hands_all_of_a_call_back_and_tries_nobody_alone() -> None:
    handler = Together(lambda works: hang_with("A-1", works))
    room = room_of(handler)
    send(room, "A-1", "A-2")
    life = Life(room.desk)
    room.desk.tally.received = 2
    begun = life.begin(await room.receive())
    await settle_down()
    room.desk.draining.set()
    life.cancel_handlers()
    await life.ended()
    assert words(begun) == ["retry", "retry"]
    assert handler.calls == [["A-1", "A-2"]]
    assert room.desk.tally.handed_back == 2
    assert len(await room.receive()) == 2


async def test_each_message_of_a_call_tells_how_long_it_was_handled() -> None:
    async def act(works: Sequence[Work]) -> list[Finished | Exception]:
        await room.clock.sleep(2.0)
        return [Finished() for _ in works]

    room = room_of(Together(act))
    send(room, "A-1", "A-2")
    life = Life(room.desk)
    begun = life.begin(await room.receive())
    await room.clock.advance(3.0)
    assert [delivery.handle_ms for delivery in begun] == [2000.0, 2000.0]
    recorded = room.metrics.recorded
    handled = (("queue", "rebill"), ("type", RebillAccounts.TYPE))
    assert recorded["handle_ms", handled] == [2000.0, 2000.0]
    assert [ms >= 2000.0 for ms in recorded["delivery_ms", (("queue", "rebill"),)]] == [True, True]


async def test_poison_of_many_attempts_is_only_the_message_that_failed_alone() -> None:
    async def act(works: Sequence[Work]) -> list[Finished | Exception]:
        if any(account_of(work) == "A-2" for work in works):
            raise ValueError("a defect")
        return [Finished() for _ in works]

    room = room_of(Together(act))
    send(room, "A-1", "A-2")
    for _ in range(7):
        await room.receive()
        await room.clock.advance(61)
    deliveries = await room.run_once()
    assert words(deliveries) == ["done", "poison"]
    assert isinstance(deliveries[1].outcome, Poison)
