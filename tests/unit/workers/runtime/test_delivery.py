"""The life of a message, verb by verb, with everything around it in memory."""

import asyncio

import pytest

from billfleet_contracts import Envelope, UndecodableBody, decode
from billfleet_workers.runtime.delivery import deliver
from billfleet_workers.runtime.errors import Misconfigured, Permanent, Transient, Unavailable
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.outcome import Done, Duplicate, Poison, Retry
from billfleet_workers.runtime.ports.queue import EntryFailure
from delivery_room import LEASE_S, Act, Room, body_for, words


def raising(error: BaseException) -> Act:
    async def act(work: Work) -> Finished:
        raise error

    return act


async def test_a_message_is_handled_recorded_and_deleted() -> None:
    room = Room()
    room.send()
    (delivery,) = await room.run_once()
    assert delivery.outcome == Done(note='{"billed":1}')
    assert room.queue.depth == 0
    assert len(room.handler.works) == 1
    record = (await room.dedupe.read([delivery.key]))[0]
    assert record is not None
    assert record.state == "done"
    assert room.metrics.total("deliveries", outcome="done") == 1


async def test_duplicate_delivery_is_settled_without_calling_the_handler() -> None:
    room = Room()
    room.send()
    await room.run_once()
    room.send()
    (delivery,) = await room.run_once()
    assert isinstance(delivery.outcome, Duplicate)
    assert len(room.handler.works) == 1
    assert room.queue.depth == 0


async def test_the_same_key_twice_in_a_batch_is_handled_once() -> None:
    room = Room()
    room.send()
    room.send()
    assert words(await room.run_once()) == ["done", "duplicate"]
    assert len(room.handler.works) == 1
    assert room.queue.depth == 0


async def test_the_second_of_a_pair_waits_when_the_first_fails() -> None:
    room = Room(raising(Transient("busy")))
    room.send()
    room.send()
    assert words(await room.run_once()) == ["retry", "retry"]
    assert room.queue.depth == 2


async def test_the_same_key_with_another_payload_is_poison() -> None:
    room = Room()
    room.queue.send(body_for("A-1", dedupe_key="k"))
    await room.run_once()
    other = body_for("A-2", dedupe_key="k")
    room.queue.send(other)
    (delivery,) = await room.run_once()
    assert isinstance(delivery.outcome, Poison)
    assert room.queue.dead_letters[0].body == other


async def test_two_payloads_under_one_key_in_one_batch_leave_the_second_as_poison() -> None:
    room = Room()
    room.queue.send(body_for("A-1", dedupe_key="k"))
    room.queue.send(body_for("A-2", dedupe_key="k"))
    assert words(await room.run_once()) == ["done", "poison"]
    assert len(room.queue.dead_letters) == 1


async def test_tenants_do_not_share_dedupe_keys() -> None:
    room = Room()
    room.queue.send(body_for(tenant="acme", dedupe_key="k"))
    room.queue.send(body_for(tenant="other", dedupe_key="k"))
    assert words(await room.run_once()) == ["done", "done"]


@pytest.mark.parametrize(
    ("body", "error_class"),
    [
        ("garbage", "UndecodableBody"),
        ("[]", "UndecodableBody"),
        (body_for().replace("rebill_accounts.v1", "unheard_of.v1"), "UnknownType"),
        (body_for().replace("rebill_accounts.v1", "rebill_accounts.v9"), "UnknownVersion"),
        (body_for().replace('"accounts"', '"acounts"'), "InvalidEvent"),
    ],
)
async def test_what_cannot_be_read_is_buried_at_once_with_its_bytes_and_reason(
    body: str, error_class: str
) -> None:
    room = Room()
    room.queue.send(body)
    (delivery,) = await room.run_once()
    assert isinstance(delivery.outcome, Poison)
    (letter,) = room.queue.dead_letters
    assert letter.body == body
    assert not letter.redriven
    assert letter.attributes["error_class"] == error_class
    assert letter.attributes["reason"]
    assert letter.attributes["origin"] == "rebill"
    assert letter.attributes["attempt"] == "1"
    assert len(letter.attributes["fingerprint"]) == 12
    assert len(letter.attributes) <= 10
    assert room.queue.depth == 0
    assert room.handler.works == []


async def test_poison_does_not_touch_its_neighbours() -> None:
    room = Room()
    room.send("A-1")
    room.queue.send("garbage")
    room.send("A-2")
    assert words(await room.run_once()) == ["done", "poison", "done"]


async def test_an_event_that_the_queue_has_no_handler_for_is_poison() -> None:
    room = Room()
    room.desk.handlers = {}
    room.send()
    (delivery,) = await room.run_once()
    assert isinstance(delivery.outcome, Poison)
    assert delivery.outcome.error_class == "WrongQueue"


async def test_a_failed_message_is_hidden_with_backoff_and_its_claim_is_free_again() -> None:
    room = Room(raising(Transient("busy")))
    room.send()
    (delivery,) = await room.run_once()
    assert isinstance(delivery.outcome, Retry)
    assert await room.receive() == []
    await room.clock.advance(delivery.outcome.after_s)
    room.handler.act = Room().handler.act
    (again,) = await room.run_once()
    assert isinstance(again.outcome, Done)
    assert again.received.receive_count == 2


async def test_a_message_that_always_fails_is_buried_with_its_last_reason() -> None:
    room = Room(raising(RuntimeError("no such luck")), attempts_max=3)
    room.send()
    for _ in range(3):
        await room.run_once()
        await room.clock.advance(1000)
    (letter,) = room.queue.dead_letters
    assert not letter.redriven
    assert letter.attributes["reason"].endswith("RuntimeError: no such luck")
    assert letter.attributes["attempt"] == "3"
    assert room.queue.depth == 0


async def test_what_can_never_succeed_is_buried_at_the_first_receive() -> None:
    room = Room(raising(Permanent("unknown account A-1")))
    room.send()
    await room.run_once()
    assert room.queue.dead_letters[0].attributes["reason"] == "unknown account A-1"
    assert room.queue.depth == 0


async def test_a_dead_letter_that_was_replayed_and_dies_again_keeps_its_first_identity() -> None:
    room = Room(raising(Permanent("still wrong")))
    room.queue.send(
        body_for(),
        attributes={"original_message_id": "first", "first_sent_at": "2026-01-01T00:00:00+00:00"},
    )
    await room.run_once()
    attributes = room.queue.dead_letters[0].attributes
    assert attributes["original_message_id"] == "first"
    assert attributes["first_sent_at"] == "2026-01-01T00:00:00+00:00"


async def test_poison_that_cannot_be_buried_stays_in_its_queue() -> None:
    room = Room()
    room.queue.send("garbage")
    room.queue.faults.refuse_entries("bury", EntryFailure("Throttled", "slow down", retriable=True))
    (delivery,) = await room.run_once()
    assert isinstance(delivery.outcome, Retry)
    assert room.queue.depth == 1
    assert room.queue.dead_letters == []
    assert room.metrics.total("settle_failures", verb="bury") == 1


async def test_a_delete_that_fails_for_one_entry_is_seen_and_comes_back_as_a_duplicate() -> None:
    room = Room()
    room.send("A-1")
    room.send("A-2")
    room.queue.faults.refuse_entries(
        "delete", None, EntryFailure("InternalError", "try again", retriable=True)
    )
    assert words(await room.run_once()) == ["done", "done"]
    assert room.queue.depth == 1
    assert room.desk.tally.abandoned == 1
    await room.clock.advance(61)
    assert words(await room.run_once()) == ["duplicate"]
    assert len(room.handler.works) == 2
    assert room.queue.depth == 0


async def test_an_unreachable_dedupe_store_puts_the_batch_back_and_shuts_the_gate() -> None:
    room = Room()
    room.send()
    room.dedupe.faults.take_away()
    (delivery,) = await room.run_once()
    assert isinstance(delivery.outcome, Retry)
    assert room.handler.works == []
    assert room.desk.gate.away
    assert room.metrics.total("dedupe_unavailable") == 1


@pytest.mark.parametrize("error", [Unavailable("postgresql", "gone"), Misconfigured("q", "gone")])
async def test_an_outage_never_makes_poison_and_shuts_the_gate(error: Unavailable) -> None:
    room = Room(raising(error), attempts_max=1)
    room.send()
    (delivery,) = await room.run_once()
    assert isinstance(delivery.outcome, Retry)
    assert room.queue.dead_letters == []
    assert list(room.desk.gate.away) == [error.dependency]


async def test_work_that_another_delivery_holds_waits_for_the_lease_to_end() -> None:
    room = Room()
    room.send()
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def slow(work: Work) -> Finished:
        entered.set()
        await go_on.wait()
        return Finished()

    room.handler.act = slow
    first = asyncio.create_task(room.run_once())
    await entered.wait()
    room.send()
    (second,) = await room.run_once(room.new_desk())
    assert isinstance(second.outcome, Retry)
    assert LEASE_S < second.outcome.after_s <= LEASE_S + 2
    go_on.set()
    assert words(await first) == ["done"]
    await room.clock.advance(second.outcome.after_s)
    assert words(await room.run_once()) == ["duplicate"]
    assert len(room.handler.works) == 1


async def test_a_worker_that_lost_its_lease_may_not_record_over_the_one_that_took_it() -> None:
    room = Room()
    room.send()
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def slow_once(work: Work) -> Finished:
        if not entered.is_set():
            entered.set()
            await go_on.wait()
            return Finished({"by": "slow"})
        return Finished({"by": "fast"})

    room.handler.act = slow_once
    first = asyncio.create_task(room.run_once())
    await entered.wait()
    # No heartbeat runs in this room: visibility and lease both lapse.
    await room.clock.advance(LEASE_S + 1)
    (second,) = await room.run_once(room.new_desk())
    assert isinstance(second.outcome, Done)
    go_on.set()
    (slow,) = await first
    assert isinstance(slow.outcome, Retry)
    record = (await room.dedupe.read([slow.key]))[0]
    assert record is not None
    assert record.note == '{"by":"fast"}'
    assert room.queue.depth == 0


async def test_done_work_that_cannot_be_recorded_comes_back_instead_of_being_deleted() -> None:
    room = Room()
    room.send()

    async def work_then_outage(work: Work) -> Finished:
        room.dedupe.faults.take_away()
        return Finished()

    room.handler.act = work_then_outage
    running = asyncio.create_task(room.run_once())
    for _ in range(10):
        await room.clock.advance(1)
    (delivery,) = await running
    assert isinstance(delivery.outcome, Retry)
    assert room.queue.depth == 1


async def test_a_lost_answer_to_complete_is_asked_again_and_counts_once() -> None:
    room = Room()
    room.send()
    room.dedupe.faults.lose_answers("complete")
    running = asyncio.create_task(room.run_once())
    for _ in range(5):
        await room.clock.advance(1)
    assert words(await running) == ["done"]
    assert room.queue.depth == 0


async def test_a_crash_after_the_effect_is_taken_over_when_the_lease_lapses() -> None:
    room = Room()
    room.send()

    # A process that dies leaves its claim and its message behind: cancel in mid-handler.
    entered = asyncio.Event()

    async def hang(work: Work) -> Finished:
        entered.set()
        await asyncio.Event().wait()
        return Finished()

    room.handler.act = hang
    batch = await room.receive()
    dying = asyncio.create_task(deliver(batch, room.desk))
    await entered.wait()
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    room.handler.act = Room().handler.act
    assert await room.receive() == []
    await room.clock.advance(LEASE_S + 1)
    assert words(await room.run_once(room.new_desk())) == ["done"]


async def test_every_received_message_is_in_exactly_one_column_of_the_tally() -> None:
    outcomes = iter([Permanent("p"), Transient("t"), None, None])

    async def act(work: Work) -> Finished:
        error = next(outcomes)
        if error:
            raise error
        return Finished()

    room = Room(act)
    for number in range(4):
        room.send(f"A-{number}")
    room.queue.send("garbage")
    await room.run_once()
    tally = room.desk.tally
    assert (tally.completed, tally.retried, tally.dead_lettered) == (2, 1, 2)
    assert tally.adds_up


async def test_a_true_duplicate_is_not_buried_for_the_wrong_payload_that_came_beside_it() -> None:
    room = Room()
    room.queue.send(body_for("A-1", dedupe_key="k"))
    await room.run_once()
    room.queue.send(body_for("A-2", dedupe_key="k"))
    room.queue.send(body_for("A-1", dedupe_key="k"))
    assert words(await room.run_once()) == ["poison", "retry"]
    await room.clock.advance(2)
    assert words(await room.run_once()) == ["duplicate"]
    assert len(room.queue.dead_letters) == 1


async def test_a_foreign_body_becomes_an_event_of_the_catalogue_at_the_door() -> None:
    room = Room()
    room.desk.decode = lambda body: decode(body_for(body.removeprefix("account ")))
    room.queue.send("account A-7")
    (delivery,) = await room.run_once()
    assert isinstance(delivery.outcome, Done)
    assert room.handler.works[0].envelope == delivery.envelope


async def test_a_foreign_body_that_cannot_be_read_is_buried_as_it_came() -> None:
    def refuse(body: str) -> Envelope:
        raise UndecodableBody("not a notification")

    room = Room()
    room.desk.decode = refuse
    room.queue.send('{"Type": "Notification"}')
    (delivery,) = await room.run_once()
    assert isinstance(delivery.outcome, Poison)
    assert room.queue.dead_letters[0].body == '{"Type": "Notification"}'
