"""What webhooks and operators say, in any order and however often."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import PaymentFailed, PaymentSucceeded
from billfleet_db import Database
from billfleet_workers.adapters.memory_payments import MemoryGateway, Step
from billfleet_workers.runtime.errors import Permanent, Transient
from billfleet_workers.runtime.ports.payments import Declined, GatewayAnswer, Succeeded, Unknown
from collect_world import FEBRUARY, JANUARY, MARCH, NOW, World, key, left, ref, reported

SOFT = Step(Declined("insufficient_funds", "soft"))
HARD = Step(Declined("stolen_card", "hard"))
LOST = Step(Unknown("timeout"), charges_anyway=True)
FAILED = Step(Unknown("500"))


async def test_webhook_concludes_an_open_question(world: World) -> None:
    """R30"""
    await world.seed("a1")
    world.gateway.script("pm-a1", LOST)
    await world.collect()
    assert (await world.report(reported("succeeded", key()))).note == {"paid": 1}
    assert await world.payments() == [("payment", "a1", 2985)]
    assert await world.state() == "ACTIVE"


async def test_webhook_twice_is_taken_in_once(world: World) -> None:
    """R30"""
    await world.seed("a1")
    world.gateway.script("pm-a1", LOST)
    await world.collect()
    event = reported("succeeded", key())
    await world.report(event)
    assert (await world.report(event)).note == {"reported_before": 1}
    assert (await world.report(reported("succeeded", key(), event_id="e2"))).note == {
        "known_already": 1
    }
    assert len(await world.payments()) == 1
    assert len(await left(world.database, PaymentSucceeded)) == 1


async def test_webhook_before_the_answer_of_the_call_leaves_one_payment(world: World) -> None:
    """R30: the report is recorded while the call is still on its way."""
    await world.seed("a1")
    outer = world

    class Slow(MemoryGateway):
        async def charge(self, name: str, body: str) -> GatewayAnswer:
            answer = await super().charge(name, body)
            await outer.report(reported("succeeded", name))
            return answer

    world.gateway = Slow(world.clock)
    assert (await world.collect()).note == {"known_already": 1}
    assert await world.payments() == [("payment", "a1", 2985)]
    assert (await world.bill()).attempts_made == 1


async def test_late_report_of_a_decline_does_not_undo_a_payment(world: World) -> None:
    """R30: out of order; the gateway is asked, and it says that the money was taken."""
    await world.seed("a1")
    await world.collect()
    finished = await world.report(reported("declined", key(), code="insufficient_funds"))
    assert finished.note == {"known_already": 1}
    assert world.gateway.calls[-1] == ("find", key())
    assert (await world.bill()).state == "paid"
    assert len(await world.payments()) == 1


async def test_success_later_corrected_to_failure_posts_a_reversal(world: World) -> None:
    """R31: history is kept, the bill is due again, and dunning begins."""
    await world.seed("a1")
    await world.collect()
    world.gateway.settle(key(), Declined("insufficient_funds", "soft"))
    await world.report(reported("declined", key(), code="insufficient_funds"))
    assert await world.payments() == [("payment", "a1", 2985), ("reversal", "a1", 2985)]
    assert await world.owed_minor() == 2985
    bill = await world.bill()
    assert (bill.state, bill.paid_at) == ("open", None)
    assert bill.next_attempt_at == NOW + timedelta(days=1)
    assert bill.attempts_made == 1
    assert await world.state() == "PAST_DUE"
    await world.pass_time(86400)
    assert (await world.collect(ref(attempt_no=2))).note == {"paid": 1}
    assert await world.owed_minor() == 0


async def test_failure_later_corrected_to_success_posts_the_payment(world: World) -> None:
    """R31"""
    await world.seed("a1")
    world.gateway.script("pm-a1", SOFT)
    await world.collect()
    world.gateway.settle(key(), Succeeded("ref-9"))
    assert (await world.report(reported("succeeded", key()))).note == {"paid": 1}
    assert await world.payments() == [("payment", "a1", 2985)]
    assert await world.state() == "ACTIVE"
    assert (await world.collect(ref(attempt_no=2))).note == {"already_paid": 1}


async def test_bills_that_a_decline_had_stopped_go_on_when_its_payment_turns_out_to_be_made(
    world: World,
) -> None:
    """R31, R34: the customer confirmed the payment at the bank; the next period is not lost."""
    await world.seed("a1", periods=(FEBRUARY, MARCH))
    world.gateway.script("pm-a1", HARD)
    await world.collect(ref(period=FEBRUARY), ref(period=MARCH))
    assert (await world.bill()).collection_note == "hard_decline"
    february = key(period=FEBRUARY)
    world.gateway.settle(february, Succeeded("r"))
    assert (await world.report(reported("succeeded", february))).note == {"paid": 1}
    march = await world.bill()
    assert (march.collection_note, march.next_attempt_at) == (None, NOW)
    assert await world.state() == "ACTIVE"
    assert (await world.collect()).note == {"paid": 1}


async def test_bills_stay_stopped_while_another_one_was_declined_for_good(world: World) -> None:
    """R34: paying one of two refused bills says nothing for the method that refused the other."""
    await world.seed("a1", periods=(FEBRUARY,))
    world.gateway.script("pm-a1", SOFT, HARD)
    await world.collect(ref(period=FEBRUARY))
    await world.pass_time(86400)
    await world.add_bills("a1", (JANUARY, MARCH))
    await world.collect(ref(period=JANUARY))
    await world.collect(ref(period=FEBRUARY, attempt_no=2), ref())
    february = key(period=FEBRUARY)
    world.gateway.settle(february, Succeeded("r"))
    await world.report(reported("succeeded", february))
    assert (await world.bill(period=JANUARY)).collection_note == "hard_decline"
    assert (await world.bill()).collection_note == "hard_decline"
    assert await world.state() == "PAST_DUE"


async def test_correction_of_a_correction_goes_on_along_the_chain(world: World) -> None:
    """R31: payment, reversal, reversal of the reversal, and the next one."""
    await world.seed("a1")
    await world.collect()
    declined, paid = Declined("x", "soft"), Succeeded("r")
    answers: list[Succeeded | Declined] = [declined, paid, declined]
    for number, answer in enumerate(answers):
        world.gateway.settle(key(), answer)
        result = "succeeded" if isinstance(answer, Succeeded) else "declined"
        await world.report(reported(result, key(), event_id=f"e{number}"))
    assert [kind for kind, *_ in await world.payments()] == ["payment", *["reversal"] * 3]
    assert await world.owed_minor() == 2985
    assert len(await left(world.database, PaymentSucceeded)) == 2
    assert len(await left(world.database, PaymentFailed)) == 2


async def test_contradiction_that_the_gateway_cannot_settle_is_asked_again(world: World) -> None:
    """R30"""
    await world.seed("a1")
    world.gateway.script("pm-a1", SOFT)
    await world.collect()
    world.gateway.forget(key())
    waits_s: list[float] = []
    for receive_count in range(1, 8):
        work = world.work(reported("succeeded", key()), receive_count)
        with pytest.raises(Transient, match="which report") as raised:
            await world.handler().handle(work)
        waits_s.append(raised.value.retry_after_s or 0)
    assert sum(waits_s) >= 3600, "a search may lag by an hour, and the message is buried after this"
    assert await world.rows("SELECT count(*) FROM billing.gateway_events") == [(0,)]


async def test_report_that_is_overtaken_by_its_opposite_is_looked_at_again(world: World) -> None:
    """R30: between reading the attempt and locking it, another report concluded it."""
    await world.seed("a1")
    world.gateway.script("pm-a1", FAILED)
    await world.collect()

    async def overtake() -> None:
        await world.report(reported("declined", key(), event_id="e2", code="x"))

    handler = world.handler(database=Overtaken(world.database, overtake))
    with pytest.raises(Transient, match="concluded meanwhile"):
        await handler.handle(world.work(reported("succeeded", key())))
    assert await world.payments() == []


async def test_answer_about_a_contradiction_that_was_overtaken_by_newer_ones_is_asked_for_again(
    world: World,
) -> None:
    """R30, R31: the payment was taken back and made again while an older answer was on its way."""
    await world.seed("a1")
    await world.collect()
    world.gateway.settle(key(), Declined("x", "soft"))

    async def overtake() -> None:
        await world.pass_time(1)
        await world.report(reported("declined", key(), event_id="e2"))
        world.gateway.settle(key(), Succeeded("r"))
        await world.report(reported("succeeded", key(), event_id="e3"))

    handler = world.handler(database=Overtaken(world.database, overtake))
    late = world.work(reported("declined", key()))
    with pytest.raises(Transient, match="concluded anew"):
        await handler.handle(late)
    assert (await world.bill()).state == "paid"
    assert (await world.handler().handle(late)).note == {"known_already": 1}
    assert await world.owed_minor() == 0


class Overtaken(Database):
    """Something happens before the second transaction begins."""

    def __init__(self, inner: Database, event: Callable[[], Awaitable[None]]) -> None:
        self._inner = inner
        self._event = event
        self._begun = 0

    @asynccontextmanager
    async def transaction(self, isolation: Any = None) -> AsyncIterator[AsyncConnection]:
        self._begun += 1
        if self._begun == 2:
            await self._event()
        async with self._inner.transaction(isolation) as connection:
            yield connection


async def test_payment_of_a_bill_that_another_attempt_has_paid_is_shown_as_credit(
    world: World,
) -> None:
    """R31: the first attempt turns out to have been paid after all."""
    await world.seed("a1")
    world.gateway.script("pm-a1", SOFT)
    await world.collect()
    await world.pass_time(86400)
    await world.collect(ref(attempt_no=2))
    world.gateway.settle(key(), Succeeded("r"))
    assert (await world.report(reported("succeeded", key()))).note == {"paid_twice": 1}
    assert await world.owed_minor() == -2985
    bill = await world.bill()
    assert (bill.state, bill.collection_note) == ("paid", "paid_twice")


async def test_taking_back_one_of_two_payments_leaves_the_bill_paid(world: World) -> None:
    """R31"""
    await world.seed("a1")
    world.gateway.script("pm-a1", SOFT)
    await world.collect()
    await world.pass_time(86400)
    await world.collect(ref(attempt_no=2))
    answers: list[Succeeded | Declined] = [Succeeded("r"), Declined("x", "soft")]
    for number, answer in enumerate(answers):
        world.gateway.settle(key(), answer)
        result = "succeeded" if isinstance(answer, Succeeded) else "declined"
        await world.report(reported(result, key(), event_id=f"e{number}"))
    assert (await world.bill()).state == "paid"
    assert await world.owed_minor() == 0


async def test_operator_concludes_an_open_question(world: World) -> None:
    """R24"""
    await world.seed("a1")
    world.gateway.script("pm-a1", FAILED)
    await world.collect()
    event = reported("declined", key(), gateway="operator", code="confirmed_by_bank")
    assert (await world.report(event)).note == {"declined": 1}
    assert await world.state() == "PAST_DUE"


async def test_operator_is_too_late_for_an_attempt_that_was_concluded(world: World) -> None:
    """R24: the state is read again under lock; only open questions may be answered by hand."""
    await world.seed("a1")
    await world.collect()
    event = reported("declined", key(), gateway="operator", code="guess")
    assert (await world.report(event)).note == {"no_longer_open": 1}
    assert (await world.bill()).state == "paid"


async def test_report_about_nothing_of_ours_is_poison(world: World) -> None:
    await world.seed("a1")
    with pytest.raises(Permanent, match="has no attempt"):
        await world.report(reported("succeeded", "acme:nobody:2026-03-01:1"))


async def test_report_of_another_gateway_is_poison(world: World) -> None:
    await world.seed("a1")
    await world.collect()
    with pytest.raises(Permanent, match="made through memory"):
        await world.report(reported("succeeded", key(), gateway="stripe"))
