"""What is in flight on one queue: order, fairness, micro-batches, and slow neighbours."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from billfleet_contracts import Envelope, RebillAccounts, decode
from billfleet_workers.runtime.consumer import Consumer
from billfleet_workers.runtime.delivery import Life
from billfleet_workers.runtime.errors import Permanent, Transient, Unavailable
from billfleet_workers.runtime.handling import Finished, Work
from delivery_room import Room, body_for, words


async def settle_down() -> None:
    for _ in range(100):
        await asyncio.sleep(0)


def account_of(work: Work) -> str:
    event = work.envelope.data
    assert isinstance(event, RebillAccounts)
    return event.accounts[0].account_id


async def test_a_slow_message_does_not_hold_up_the_others_of_its_receive() -> None:
    room = Room()
    go_on = asyncio.Event()

    async def act(work: Work) -> Finished:
        if account_of(work) == "slow":
            await go_on.wait()
        return Finished()

    room.handler.act = act
    for account in ("slow", "A-1", "A-2"):
        room.send(account)
    life = Life(room.desk)
    life.begin(await room.receive())
    await settle_down()
    assert life.in_flight == 1
    assert room.queue.depth == 1
    go_on.set()
    await life.ended()
    assert room.queue.depth == 0


async def test_a_handler_past_its_deadline_is_cancelled_and_its_message_comes_back() -> None:
    room = Room()

    async def hang(work: Work) -> Finished:
        await asyncio.Event().wait()
        return Finished()

    room.handler.act = hang
    room.send()
    beating = asyncio.create_task(room.desk.heartbeat.run())
    running = asyncio.create_task(room.run_once())
    await room.clock.advance(room.desk.policy.deadline_s + 11)
    (delivery,) = await running
    assert delivery.outcome is not None
    assert delivery.outcome.word == "retry"
    assert delivery.outcome.reason == "the handler ran past its deadline"  # type: ignore[union-attr]
    beating.cancel()


async def test_a_body_that_its_decoder_chokes_on_is_poison_and_holds_up_nobody() -> None:
    room = Room()

    def choke(body: str) -> Envelope:
        if body == "deep":
            raise RecursionError("too deep")
        return decode(body)

    room.desk.decode = choke
    room.queue.send("deep")
    room.send()
    deliveries = await room.run_once()
    assert sorted(words(deliveries)) == ["done", "poison"]
    assert room.desk.heartbeat.watched == []
    assert room.queue.depth == 0


def fifo(room: Room) -> Life:
    room.desk.fifo = True
    return Life(room.desk)


async def test_a_fifo_group_is_strictly_in_order_while_groups_run_side_by_side() -> None:
    room = Room(in_flight_max=20)
    running: list[str] = []
    most = 0
    seen: list[str] = []

    async def act(work: Work) -> Finished:
        nonlocal most
        account = account_of(work)
        running.append(account)
        assert Counter(name[0] for name in running).most_common(1)[0][1] == 1
        most = max(most, len(running))
        await asyncio.sleep(0)
        seen.append(account)
        running.remove(account)
        return Finished()

    room.handler.act = act
    for number in range(3):
        for group in "abc":
            room.queue.send(body_for(f"{group}-{number}"), group_id=group)
    life = fifo(room)
    life.begin(await room.receive())
    await life.ended()
    for group in "abc":
        assert [name for name in seen if name[0] == group] == [f"{group}-{n}" for n in range(3)]
    assert most == 3


async def test_when_a_fifo_message_fails_the_rest_of_its_group_goes_back_and_others_go_on() -> None:
    async def act(work: Work) -> Finished:
        if account_of(work) == "a-0":
            raise Transient("busy")
        return Finished()

    room = Room(act)
    for account in ("a-0", "a-1", "b-0", "a-2", "b-1"):
        room.queue.send(body_for(account), group_id=account[0])
    life = fifo(room)
    life.begin(await room.receive())
    await life.ended()
    assert [account_of(work) for work in room.handler.works] == ["a-0", "b-0", "b-1"]
    assert room.desk.tally.handed_back == 2
    assert room.desk.tally.retried == 1
    assert room.queue.depth == 3


async def test_a_fifo_message_has_all_its_tries_however_often_its_group_came_back() -> None:
    failures: Counter[str] = Counter()

    async def act(work: Work) -> Finished:
        account = account_of(work)
        failures[account] += 1
        if account == "a-0" or failures[account] < 3:
            raise Transient("busy")
        return Finished()

    room = Room(act, attempts_max=3)
    for account in ("a-0", "a-1"):
        room.queue.send(body_for(account), group_id="a")
    for _ in range(12):
        life = fifo(room)
        life.begin(await room.receive())
        await life.ended()
        await room.clock.advance(61)
    assert failures == {"a-0": 3, "a-1": 3}
    assert room.queue.depth == 0
    (letter,) = room.queue.dead_letters
    assert letter.attributes["reason"] == "gave up after 3 tries: busy"


async def test_an_outage_is_no_try_of_a_fifo_message() -> None:
    calls = 0

    async def act(work: Work) -> Finished:
        nonlocal calls
        calls += 1
        if calls in (1, 3):
            raise Unavailable("PostgreSQL", "away")
        if calls == 2:
            raise Transient("busy")
        return Finished()

    room = Room(act, attempts_max=2)
    room.queue.send(body_for("a-0"), group_id="a")
    for _ in range(4):
        life = fifo(room)
        life.begin(await room.receive())
        await life.ended()
        await room.clock.advance(61)
    assert (calls, room.queue.depth, room.queue.dead_letters) == (4, 0, [])


async def test_fifo_poison_is_buried_and_its_group_goes_on() -> None:
    async def act(work: Work) -> Finished:
        if account_of(work) == "a-0":
            raise Permanent("never")
        return Finished()

    room = Room(act)
    room.queue.send("garbage", group_id="a")
    for account in ("a-0", "a-1"):
        room.queue.send(body_for(account), group_id="a")
    life = fifo(room)
    life.begin(await room.receive())
    await life.ended()
    assert [account_of(work) for work in room.handler.works] == ["a-0", "a-1"]
    assert len(room.queue.dead_letters) == 2


async def test_a_tenant_has_only_so_many_at_work_and_others_pass() -> None:
    room = Room(in_flight_max=20)
    room.desk.tenant_max = 2
    go_on = asyncio.Event()
    at_work: Counter[str] = Counter()

    async def act(work: Work) -> Finished:
        at_work[work.envelope.tenant] += 1
        await go_on.wait()
        return Finished()

    room.handler.act = act
    for number in range(6):
        room.queue.send(body_for(f"A-{number}", tenant="loud"))
    room.queue.send(body_for("B-1", tenant="quiet"))
    life = Life(room.desk)
    life.begin(await room.receive())
    await settle_down()
    assert at_work == {"loud": 2, "quiet": 1}
    go_on.set()
    await life.ended()
    assert at_work == {"loud": 6, "quiet": 1}
    assert room.queue.depth == 0


class Counting:
    """Counts the calls of a port as its service would bill them."""

    def __init__(self, port: Any, sizes: dict[str, int], calls: Counter[str]) -> None:
        self._port, self._sizes, self._calls = port, sizes, calls

    def __getattr__(self, verb: str) -> Any:
        found = getattr(self._port, verb)
        if verb not in self._sizes:
            return found

        async def counted(entries: Sequence[object] = (), *more: Any, **named: Any) -> Any:
            size = self._sizes[verb]
            self._calls[verb] += max(1, -(-len(entries) // size)) if size else 1
            return await found(*([entries] if size else []), *more, **named)

        return counted


async def test_a_full_queue_costs_at_most_030_calls_a_message_with_dedupe() -> None:
    room = Room(in_flight_max=100)
    room.desk.linger_s = 0.005
    calls: Counter[str] = Counter()
    room.desk.queue = Counting(room.queue, {"receive": 0, "delete": 10, "hide": 10}, calls)
    room.desk.dedupe = Counting(room.dedupe, {"claim": 25, "complete": 25, "extend": 25}, calls)
    for number in range(1000):
        room.send(f"A-{number}")
    consumer = Consumer(room.desk, receivers=4, poll_wait_s=20)
    consumer.start()
    for _ in range(300):
        await room.clock.advance(0.001)
    assert room.queue.depth == 0
    assert room.desk.tally.completed == 1000
    assert sum(calls.values()) <= 300 + 5, calls
    draining = asyncio.create_task(consumer.drain(5))
    await room.clock.advance(21)
    assert await draining


async def test_an_idle_queue_is_polled_once_in_twenty_seconds_whatever_the_receivers() -> None:
    room = Room()
    calls: Counter[str] = Counter()
    room.desk.queue = Counting(room.queue, {"receive": 0}, calls)
    consumer = Consumer(room.desk, receivers=8, poll_wait_s=20)
    consumer.start()
    await room.clock.advance(199)
    assert calls["receive"] == 10
    draining = asyncio.create_task(consumer.drain(5))
    await room.clock.advance(21)
    assert await draining


async def test_a_defect_in_a_verb_takes_only_its_batch_and_is_counted() -> None:
    room = Room()
    room.send()

    class Broken:
        def __getattr__(self, verb: str) -> Any:
            return getattr(room.dedupe, verb)

        async def claim(self, requests: object) -> object:
            raise RuntimeError("a defect")

    room.desk.dedupe = Broken()  # type: ignore[assignment]
    await room.run_once()
    assert room.desk.tally.abandoned == 1
    assert room.desk.tally.adds_up
    assert room.desk.heartbeat.watched == []
    room.desk.dedupe = room.dedupe
    await room.clock.advance(61)
    (delivery,) = await room.run_once()
    assert delivery.outcome is not None
    assert delivery.outcome.word == "done"


@pytest.mark.parametrize(
    ("port", "verb"), [("dedupe", "claim"), ("dedupe", "complete"), ("queue", "delete")]
)
async def test_a_defect_counts_a_message_and_its_duplicate_once_each(port: str, verb: str) -> None:
    room = Room()
    for _ in range(2):
        room.send("A-1")
    inside = getattr(room.desk, port)

    class Broken:
        def __getattr__(self, name: str) -> Any:
            return getattr(inside, name)

    async def defect(*_: object) -> object:
        raise RuntimeError("a defect")

    broken = Broken()
    setattr(broken, verb, defect)
    setattr(room.desk, port, broken)
    await room.run_once()
    assert room.desk.tally.received == room.desk.tally.abandoned == 2
    assert room.desk.heartbeat.watched == []
