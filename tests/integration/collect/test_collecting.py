"""A bill, one message, and what is recorded afterwards."""

from datetime import date, timedelta

import pytest

from billfleet_contracts import PaymentFailed, PaymentSucceeded
from billfleet_db import bills, collection
from billfleet_workers.adapters.memory_payments import MemoryGateway, Step
from billfleet_workers.handlers.collect import CollectPolicy
from billfleet_workers.runtime.errors import Permanent, Transient
from billfleet_workers.runtime.ports.payments import (
    Busy,
    Declined,
    GatewayAnswer,
    NotSent,
    Unknown,
)
from collect_world import (
    DAY_S,
    FEBRUARY,
    HOUR_S,
    JANUARY,
    MARCH,
    NOW,
    World,
    key,
    left,
    ref,
    reported,
)

SOFT = Step(Declined("insufficient_funds", "soft"))
HARD = Step(Declined("stolen_card", "hard"))
LOST = Step(Unknown("timeout"), charges_anyway=True)
FAILED = Step(Unknown("500"))


async def test_due_bill_is_charged_posted_and_announced_once(world: World) -> None:
    """R20: the key is made of tenant, account, period and attempt, and was saved with the body."""
    await world.seed("a1")
    finished = await world.collect()
    assert finished.note == {"paid": 1}
    assert [one.key for one in world.gateway.charges] == [key()]
    assert await world.payments() == [("payment", "a1", 2985)]
    assert (await world.bill()).state == "paid"
    assert await world.state() == "ACTIVE"
    (event,) = await left(world.database, PaymentSucceeded)
    assert event.dedupekey == event.data.default_dedupe_key()
    saved = await world.rows("SELECT attempt_key, request_body FROM billing.attempts")
    assert saved == [(key(), world.gateway.charges[0].body)]


async def test_paid_bill_is_not_charged_again(world: World) -> None:
    """R28"""
    await world.seed("a1")
    await world.collect()
    assert (await world.collect()).note == {"already_paid": 1}
    assert len(world.gateway.charges) == 1


async def test_payment_that_a_restored_database_has_forgotten_is_found_before_it_is_made_again(
    world: World,
) -> None:
    """R22: the gateway has forgotten the key, and the database the attempt."""
    world.policy = CollectPolicy(asks_first=True)
    await world.seed("a1")
    await world.gateway.charge(key(), '{"method": "pm-a1"}')
    await world.clock.advance(25 * HOUR_S)
    assert (await world.collect()).note == {"paid": 1}
    assert await world.payments() == [("payment", "a1", 2985)]
    assert len(world.gateway.charges) == 1


async def test_bill_paid_on_another_way_is_seen_at_the_last_look(world: World) -> None:
    """R28: the message was enqueued while the bill was open."""
    await world.seed("a1")
    await world.execute("UPDATE billing.bills SET state = 'paid', paid_at = now()")
    await world.collect()
    assert world.gateway.calls == []


async def test_unknown_attempt_of_a_bill_paid_otherwise_is_asked_for_and_never_charged(
    world: World,
) -> None:
    """R28, R22"""
    await world.seed("a1")
    world.gateway.script("pm-a1", FAILED)
    await world.collect()
    await world.execute("UPDATE billing.bills SET state = 'paid', paid_at = now()")
    await world.pass_time(2 * DAY_S)
    await world.collect(ref(check_no=1))
    assert [call for call, _ in world.gateway.calls] == ["charge", "find"]
    assert await world.attempts() == [(1, "not_sent")]
    assert await world.state() == "ACTIVE"


async def test_zero_amount_is_settled_without_the_gateway(world: World) -> None:
    """R19"""
    await world.seed("a1", amount_minor=0)
    assert (await world.collect()).note == {"nothing_to_pay": 1}
    assert world.gateway.calls == []
    assert (await world.bill()).state == "paid"


async def test_amount_below_the_minimum_stays_due_and_has_not_failed(world: World) -> None:
    """R18"""
    await world.seed("a1", amount_minor=49)
    await world.collect()
    bill = await world.bill()
    assert (bill.state, bill.collection_note) == ("open", "below_minimum")
    assert bill.next_attempt_at is None
    assert bill.first_failed_at is None
    assert await world.state() == "ACTIVE"


@pytest.mark.parametrize("lost_before", [False, True])
async def test_amount_that_only_the_gateway_knows_to_be_too_small_is_not_tried_for_ever(
    world: World, lost_before: bool
) -> None:
    """R18: found out by trying; not failed, not in doubt, and not tried again every hour."""
    await world.seed("a1")
    steps = [FAILED] if lost_before else []
    world.gateway.script("pm-a1", *steps, Step(NotSent("400", objection="below_minimum")))
    await world.collect()
    if lost_before:
        await world.pass_time(25 * HOUR_S)
        await world.collect(ref(check_no=1))
    bill = await world.bill()
    assert (bill.state, bill.collection_note) == ("open", "below_minimum")
    assert (bill.next_attempt_at, bill.first_failed_at) == (None, None)
    assert await world.attempts() == [(1, "not_sent")]
    assert await world.state() == "ACTIVE"
    assert len([call for call, _ in world.gateway.calls if call == "charge"]) == 1 + lost_before


async def test_price_change_after_billing_does_not_change_what_is_collected(world: World) -> None:
    """R10: the bill says what is owed, and not the account of today."""
    await world.seed("a1")
    await world.execute("UPDATE billing.accounts SET amount_minor = 1")
    await world.collect()
    assert '"amount": 2985' in world.gateway.charges[0].body
    assert await world.payments() == [("payment", "a1", 2985)]


async def test_price_change_after_the_first_attempt_does_not_change_its_request(
    world: World,
) -> None:
    """R10, R21"""
    await world.seed("a1")
    world.gateway.script("pm-a1", FAILED)
    await world.collect()
    await world.execute("UPDATE billing.accounts SET amount_minor = 1, payment_method = 'other'")
    await world.pass_time(301)
    await world.collect(ref(check_no=1))
    bodies = await world.rows("SELECT request_body FROM billing.attempts")
    assert len(bodies) == 1
    assert '"amount": 2985' in str(bodies[0][0])
    assert '"method": "pm-a1"' in str(bodies[0][0])


async def test_lost_answer_leaves_an_open_question_and_nothing_new_is_tried(world: World) -> None:
    """R23: neither a second attempt, nor the next period."""
    await world.seed("a1", periods=(FEBRUARY, MARCH))
    world.gateway.script("pm-a1", LOST)
    finished = await world.collect(ref(period=FEBRUARY), ref(period=MARCH))
    assert finished.note == {"unknown": 1, "check_not_due": 1}
    assert await world.attempts() == [(1, "unknown")]
    assert await world.payments() == []
    assert await world.state() == "PENDING"
    await world.collect(ref(period=FEBRUARY, attempt_no=2))
    assert len(world.gateway.charges) == 1


async def test_open_question_is_asked_and_then_the_next_period_is_collected(world: World) -> None:
    """R23, R24"""
    await world.seed("a1", periods=(FEBRUARY, MARCH))
    world.gateway.script("pm-a1", LOST)
    await world.collect(ref(period=FEBRUARY))
    await world.pass_time(301)
    finished = await world.collect(ref(period=MARCH))
    assert finished.note == {"paid_on_the_way": 1, "paid": 1}
    assert [one.key for one in world.gateway.charges] == [key(period=FEBRUARY), key(period=MARCH)]
    assert len(await world.payments()) == 2
    assert await world.state() == "ACTIVE"


async def test_unknown_outcome_is_asked_for_on_schedule_and_then_left_to_a_person(
    world: World,
) -> None:
    """R24"""
    await world.seed("a1")
    world.gateway.script("pm-a1", *[FAILED] * 9)
    await world.collect()
    delays = [timedelta(minutes=5), timedelta(hours=1), *[timedelta(days=1)] * 5]
    for checks_made, delay in enumerate(delays):
        ((due,),) = await world.rows("SELECT next_check_at FROM billing.attempts")
        assert due == world.clock.now() + delay
        await world.pass_time(delay.total_seconds())
        await world.collect(ref(check_no=checks_made))
    ((due, state),) = await world.rows("SELECT next_check_at, state FROM billing.attempts")
    assert (due, state) == (None, "unknown")
    assert (await world.collect(ref(check_no=9))).note == {"needs_a_person": 1}
    assert await world.state() == "PENDING"


async def test_early_check_does_not_ask(world: World) -> None:
    """R24"""
    await world.seed("a1")
    world.gateway.script("pm-a1", FAILED)
    await world.collect()
    calls = len(world.gateway.calls)
    await world.pass_time(299)
    assert (await world.collect(ref(check_no=1))).note == {"check_not_due": 1}
    assert len(world.gateway.calls) == calls


async def test_refused_connection_is_tried_again_at_once_under_the_same_key(world: World) -> None:
    """R25"""
    await world.seed("a1")
    world.gateway.script("pm-a1", Step(NotSent("refused")))
    assert (await world.collect()).note == {"paid": 1}
    assert {name for _, name in world.gateway.calls} == {key()}


async def test_unreachable_gateway_leaves_a_known_non_charge_that_is_sent_again(
    world: World,
) -> None:
    """R25: not PENDING, not counted, and the same attempt."""
    await world.seed("a1")
    world.gateway.script("pm-a1", *[Step(NotSent("refused"))] * 2)
    with pytest.raises(Transient):
        await world.collect()
    assert await world.attempts() == [(1, "not_sent")]
    assert await world.state() == "ACTIVE"
    assert (await world.bill()).attempts_made == 0
    assert (await world.collect(receive_count=2)).note == {"paid": 1}
    assert await world.attempts() == [(1, "succeeded")]


async def test_unreachable_gateway_is_left_to_the_sweep_before_the_message_is_buried(
    world: World,
) -> None:
    """R25"""
    await world.seed("a1")
    world.gateway.script("pm-a1", *[Step(NotSent("refused"))] * 2)
    assert (await world.collect(receive_count=5)).note == {"not_sent": 1}
    assert (await world.bill()).next_attempt_at == NOW + timedelta(minutes=5)


async def test_unreachable_gateway_does_not_answer_a_question_that_is_open(world: World) -> None:
    """R23, R25: this call did not arrive, but the one before may have."""
    await world.seed("a1")
    world.gateway.script("pm-a1", FAILED, *[Step(NotSent("refused"))] * 2)
    await world.collect()
    await world.pass_time(25 * HOUR_S)
    await world.collect(ref(check_no=1), receive_count=5)
    ((state, checks),) = await world.rows("SELECT state, checks_made FROM billing.attempts")
    assert (state, checks) == ("unknown", 0)


async def test_busy_gateway_is_asked_again_with_the_same_key_and_nothing_is_counted(
    world: World,
) -> None:
    """R27"""
    await world.seed("a1")
    world.gateway.script("pm-a1", Step(Busy("429", 7.0)))
    with pytest.raises(Transient) as raised:
        await world.collect()
    assert raised.value.retry_after_s == 7.0
    assert (await world.bill()).attempts_made == 0
    await world.pass_time(7)
    assert (await world.collect(receive_count=2)).note == {"paid": 1}
    assert await world.attempts() == [(1, "succeeded")]
    assert [name for _, name in world.gateway.calls] == [key(), key()]


async def test_declined_attempt_gets_a_new_key_next_time(world: World) -> None:
    """R26, R43: the old key stays declined for ever."""
    await world.seed("a1")
    world.gateway.script("pm-a1", SOFT)
    await world.collect()
    await world.pass_time(DAY_S)
    assert (await world.collect(ref(attempt_no=2))).note == {"paid": 1}
    assert await world.attempts() == [(1, "declined"), (2, "succeeded")]
    assert [name for _, name in world.gateway.calls] == [key(), key(attempt_no=2)]


async def test_stale_message_about_a_declined_attempt_does_nothing(world: World) -> None:
    await world.seed("a1")
    world.gateway.script("pm-a1", SOFT)
    await world.collect()
    assert (await world.collect()).note == {"stale": 1}
    await world.pass_time(HOUR_S)
    assert (await world.collect(ref(attempt_no=2))).note == {"not_due": 1}
    assert len(world.gateway.calls) == 1


async def test_periods_of_one_account_are_collected_oldest_first(world: World) -> None:
    await world.seed("a1", "a2", periods=(JANUARY, FEBRUARY, MARCH))
    refs = [ref(name, period) for period in (MARCH, JANUARY, FEBRUARY) for name in ("a2", "a1")]
    assert (await world.collect(*refs)).note == {"paid": 6}
    for name in ("a1", "a2"):
        keys = [one.key for one in world.gateway.charges if f":{name}:" in one.key]
        assert keys == sorted(keys)


async def test_declined_period_postpones_the_next_one_of_the_account(world: World) -> None:
    """R33: one decline, not one per missed period."""
    await world.seed("a1", periods=(FEBRUARY, MARCH))
    world.gateway.script("pm-a1", SOFT)
    finished = await world.collect(ref(period=FEBRUARY), ref(period=MARCH))
    assert finished.note == {"declined": 1, "postponed": 1}
    assert len(world.gateway.calls) == 1
    assert (await world.bill(period=MARCH)).next_attempt_at == NOW + timedelta(days=1)


async def test_account_is_active_again_only_when_all_due_periods_are_settled(world: World) -> None:
    """R32"""
    await world.seed("a1", periods=(FEBRUARY, MARCH))
    world.gateway.script("pm-a1", SOFT)
    await world.collect(ref(period=FEBRUARY), ref(period=MARCH))
    assert await world.state() == "PAST_DUE"
    await world.pass_time(DAY_S)
    await world.collect(ref(period=FEBRUARY, attempt_no=2))
    assert await world.state() == "PAST_DUE"
    await world.collect(ref(period=MARCH))
    assert await world.state() == "ACTIVE"


async def test_retries_are_counted_from_the_first_failure_until_the_account_is_inactive(
    world: World,
) -> None:
    """R32, R33: +1, +3 and +7 days from the first failure, even when a retry was late."""
    await world.seed("a1")
    world.gateway.script("pm-a1", *[SOFT] * 4)
    await world.collect()
    assert (await world.bill()).next_attempt_at == NOW + timedelta(days=1)
    await world.pass_time(DAY_S + 5 * HOUR_S)
    await world.collect(ref(attempt_no=2))
    assert (await world.bill()).next_attempt_at == NOW + timedelta(days=3)
    await world.pass_time(2 * DAY_S)
    await world.collect(ref(attempt_no=3))
    assert (await world.bill()).next_attempt_at == NOW + timedelta(days=7)
    await world.pass_time(4 * DAY_S)
    await world.collect(ref(attempt_no=4))
    bill = await world.bill()
    assert (bill.state, bill.next_attempt_at, bill.collection_note) == ("open", None, "exhausted")
    assert bill.first_failed_at == NOW
    assert await world.state() == "INACTIVE"
    failed = [event.data for event in await left(world.database, PaymentFailed)]
    assert [one.account_state for one in failed if isinstance(one, PaymentFailed)] == [
        "PAST_DUE",
        "PAST_DUE",
        "PAST_DUE",
        "INACTIVE",
    ]


async def test_paying_the_oldest_bill_counts_the_debt_from_the_next_one(world: World) -> None:
    """R33: each bill has a schedule of its own, and the account's debt is as old as its oldest."""
    await world.seed("a1", periods=(FEBRUARY,))
    world.gateway.script("pm-a1", SOFT, SOFT)
    await world.collect(ref(period=FEBRUARY))
    await world.pass_time(DAY_S)
    await world.add_bills("a1", (MARCH,))
    await world.collect(ref(period=MARCH))
    assert await world.rows("SELECT past_due_since FROM billing.accounts") == [(NOW,)]
    await world.collect(ref(period=FEBRUARY, attempt_no=2))
    march = await world.bill(period=MARCH)
    assert march.first_failed_at == NOW + timedelta(days=1)
    assert march.next_attempt_at == NOW + timedelta(days=2)
    since = await world.rows("SELECT state, past_due_since FROM billing.accounts")
    assert since == [("PAST_DUE", march.first_failed_at)]


async def test_hard_decline_stops_automatic_retries_of_every_period(world: World) -> None:
    """R34"""
    await world.seed("a1", periods=(FEBRUARY, MARCH))
    world.gateway.script("pm-a1", HARD)
    finished = await world.collect(ref(period=FEBRUARY), ref(period=MARCH))
    assert finished.note == {"declined": 1, "hard_decline": 1}
    for period in (FEBRUARY, MARCH):
        assert (await world.bill(period=period)).collection_note == "hard_decline"
    assert len(world.gateway.calls) == 1
    assert await world.state() == "PAST_DUE"
    (failed,) = [event.data for event in await left(world.database, PaymentFailed)]
    assert isinstance(failed, PaymentFailed)
    assert failed.next_attempt_at is None


async def test_account_is_inactive_after_a_hard_decline_when_its_last_retry_would_have_been(
    world: World,
) -> None:
    """R32, R34: it would be billed for ever, and never asked to pay."""
    await world.seed("a1", periods=(FEBRUARY,))
    world.gateway.script("pm-a1", HARD)
    await world.collect(ref(period=FEBRUARY))
    await world.pass_time(7 * DAY_S - 1)
    again = ref(period=FEBRUARY, attempt_no=2)
    assert (await world.collect(again)).note == {"hard_decline": 1}
    assert (await world.state(), await due(world)) == ("PAST_DUE", [])
    await world.pass_time(1)
    assert await due(world) == [("a1", FEBRUARY)]
    assert (await world.collect(again)).note == {"exhausted": 1}
    assert (await world.state(), await due(world)) == ("INACTIVE", [])
    assert len(world.gateway.calls) == 1


async def test_hard_decline_of_the_last_retry_leaves_no_time(world: World) -> None:
    """R32, R34"""
    await world.seed("a1", dunning={"offsets_days": [2]})
    world.gateway.script("pm-a1", SOFT, HARD)
    await world.collect()
    await world.pass_time(2 * DAY_S)
    await world.collect(ref(attempt_no=2))
    assert (await world.bill()).collection_note == "exhausted"
    assert await world.state() == "INACTIVE"


async def due(world: World) -> list[tuple[str, date]]:
    async with world.database.transaction() as connection:
        found = await bills.due_for_collection(connection, now=world.clock.now())
    return [(one.position.account_id, one.position.period_start) for one in found]


async def test_declines_of_thirty_days_are_capped(world: World) -> None:
    """R34"""
    rules = {"offsets_days": [1, 2, 3, 4], "declines_per_30_days_max": 2}
    await world.seed("a1", dunning=rules)
    world.gateway.script("pm-a1", *[SOFT] * 5)
    for attempt_no in (1, 2, 3):
        await world.collect(ref(attempt_no=attempt_no))
        await world.pass_time(DAY_S)
    bill = await world.bill()
    assert bill.collection_note == "capped"
    assert bill.next_attempt_at == NOW + timedelta(days=30)
    assert len(world.gateway.calls) == 2


async def test_policy_is_the_tenants_and_differs_by_currency(world: World) -> None:
    """R36"""
    rules = {"offsets_days": [2], "by_currency": {"JPY": {"offsets_days": [5]}}}
    await world.seed("a1", dunning=rules)
    await world.seed("a2", currency="JPY")
    world.gateway.script("pm-a1", SOFT)
    world.gateway.script("pm-a2", SOFT)
    await world.collect(ref("a1"), ref("a2"))
    assert (await world.bill("a1")).next_attempt_at == NOW + timedelta(days=2)
    assert (await world.bill("a2")).next_attempt_at == NOW + timedelta(days=5)


async def test_declines_in_one_currency_do_not_cap_another(world: World) -> None:
    """R36"""
    await world.seed("a1", periods=(FEBRUARY,), dunning={"declines_per_30_days_max": 1})
    world.gateway.script("pm-a1", SOFT)
    await world.collect(ref(period=FEBRUARY))
    await world.execute("UPDATE billing.bills SET next_attempt_at = NULL")
    await world.execute("UPDATE billing.accounts SET currency = 'EUR'")
    await world.add_bills("a1", (MARCH,), currency="EUR")
    assert (await world.collect(ref(period=MARCH))).note == {"paid": 1}


async def test_account_that_changed_its_currency_is_capped_by_the_currency_of_its_bill(
    world: World,
) -> None:
    """R34, R36: the debt is still in the old currency, and so are the declines that count."""
    await world.seed("a1", dunning={"declines_per_30_days_max": 1})
    world.gateway.script("pm-a1", SOFT)
    await world.collect()
    await world.execute("UPDATE billing.accounts SET currency = 'EUR'")
    await world.pass_time(DAY_S)
    assert (await world.collect(ref(attempt_no=2))).note == {"capped": 1}
    assert len(world.gateway.calls) == 1


async def test_unreadable_policy_charges_nobody(world: World) -> None:
    await world.seed("a1", dunning={"offsets_days": [3, 1]})
    with pytest.raises(Permanent, match="offsets_days must increase"):
        await world.collect()
    assert world.gateway.calls == []


async def test_new_payment_method_gives_the_oldest_due_period_one_immediate_retry(
    world: World,
) -> None:
    """R35"""
    await world.seed("a1", periods=(FEBRUARY, MARCH))
    world.gateway.script("pm-a1", HARD)
    world.gateway.script("new", HARD)
    await world.collect(ref(period=FEBRUARY), ref(period=MARCH))
    async with world.database.transaction() as connection:
        retry = await collection.change_payment_method(connection, "acme", "a1", "new", now=NOW)
        again = await collection.change_payment_method(connection, "acme", "a1", "new", now=NOW)
    assert again is None
    assert retry == collection.Retry("a1", FEBRUARY, 2)
    assert (await world.collect(ref(period=FEBRUARY, attempt_no=2))).note == {"declined": 1}
    assert (await world.collect(ref(period=MARCH))).note == {"hard_decline": 1}
    assert (await world.collect(ref(period=FEBRUARY, attempt_no=3))).note == {"hard_decline": 1}
    assert len(world.gateway.calls) == 2


async def test_new_payment_method_pays_and_frees_the_account(world: World) -> None:
    """R35, R32: out of INACTIVE by paying what led there."""
    await world.seed("a1", periods=(FEBRUARY, MARCH), dunning={"offsets_days": []})
    world.gateway.script("pm-a1", SOFT)
    await world.collect(ref(period=FEBRUARY), ref(period=MARCH))
    assert await world.state() == "INACTIVE"
    async with world.database.transaction() as connection:
        await collection.change_payment_method(connection, "acme", "a1", "new", now=NOW)
    refs = (ref(period=FEBRUARY, attempt_no=2), ref(period=MARCH))
    assert (await world.collect(*refs)).note == {"paid": 2}
    assert await world.state() == "ACTIVE"


JUNE = date(2026, 6, 1)


async def pay_out_of_inactive(world: World, dunning: dict[str, object]) -> None:
    """Declined for good in March, paid in the middle of June."""
    await world.seed("a1", periods=(MARCH,), dunning={"offsets_days": [], **dunning})
    world.gateway.script("pm-a1", SOFT)
    await world.collect()
    assert await world.state() == "INACTIVE"
    await world.clock.advance(106 * DAY_S)
    async with world.database.transaction() as connection:
        await collection.change_payment_method(
            connection, "acme", "a1", "new", now=world.clock.now()
        )
    assert (await world.collect(ref(attempt_no=2))).note == {"paid": 1}
    assert await world.state() == "ACTIVE"


async def due_next(world: World) -> date:
    ((found,),) = await world.rows("SELECT rebilling_date FROM billing.accounts")
    assert isinstance(found, date)
    return found


async def left_out(world: World) -> list[tuple[object, ...]]:
    return list(
        await world.rows("SELECT period_start, reason FROM billing.refusals ORDER BY period_start")
    )


async def test_time_as_inactive_is_not_billed_afterwards_and_it_is_on_record_why(
    world: World,
) -> None:
    """R32: the account goes on with the period of the day on which it became active."""
    await pay_out_of_inactive(world, {})
    assert await due_next(world) == JUNE
    assert await left_out(world) == [
        (date(2026, 4, 1), "inactive_time"),
        (date(2026, 5, 1), "inactive_time"),
    ]
    await world.collect(ref(attempt_no=2))
    assert len(await left_out(world)) == 2


async def test_a_tenant_may_have_inactive_time_billed(world: World) -> None:
    await pay_out_of_inactive(world, {"bills_inactive_time": True})
    assert await due_next(world) == date(2026, 4, 1)
    assert await left_out(world) == []


async def test_first_payment_method_of_an_account_leaves_no_debt_behind_the_first_bill(
    world: World,
) -> None:
    """R32, R35: nothing was declined, so nothing is past due while the second bill waits."""
    await world.seed("a1", periods=(FEBRUARY, MARCH))
    await world.execute("UPDATE billing.accounts SET payment_method = NULL")
    await world.collect(ref(period=FEBRUARY), ref(period=MARCH))
    assert (await world.bill()).collection_note == "no_payment_method"
    async with world.database.transaction() as connection:
        await collection.change_payment_method(connection, "acme", "a1", "first", now=NOW)
    await world.collect(ref(period=FEBRUARY))
    assert await world.state() == "ACTIVE"
    assert (await world.bill()).next_attempt_at == NOW + timedelta(hours=1)


async def test_new_payment_method_is_not_tried_while_an_outcome_is_open(world: World) -> None:
    """R23, R35"""
    await world.seed("a1")
    world.gateway.script("pm-a1", SOFT, FAILED)
    await world.collect()
    await world.pass_time(DAY_S)
    await world.collect(ref(attempt_no=2))
    async with world.database.transaction() as connection:
        now = world.clock.now()
        assert (
            await collection.change_payment_method(connection, "acme", "a1", "x", now=now) is None
        )


@pytest.mark.parametrize("by_report", [False, True])
@pytest.mark.parametrize("code", ["stolen_card", "insufficient_funds"])
async def test_payment_method_that_came_while_the_old_one_was_asked_has_its_one_retry(
    world: World, code: str, *, by_report: bool
) -> None:
    """R35: a refusal of the old method stops nobody who pays otherwise by then."""
    await world.seed("a1", dunning={"offsets_days": []})
    world.gateway.script("pm-a1", FAILED)
    world.gateway.script("new", SOFT)
    await world.collect()
    async with world.database.transaction() as connection:
        await collection.change_payment_method(connection, "acme", "a1", "new", now=NOW)
    if by_report:
        await world.report(reported("declined", key(), code=code))
    else:
        world.gateway.settle(key(), Declined(code, world.gateway.decline_kind(code)))
        await world.pass_time(300)
        await world.collect(ref(check_no=1))
    assert (await world.state(), await due(world)) == ("PAST_DUE", [("a1", MARCH)])
    assert (await world.collect(ref(attempt_no=2))).note == {"declined": 1}
    assert (await world.state(), await due(world)) == ("INACTIVE", [])


async def test_cancelled_account_that_pays_its_last_bill_stays_cancelled(world: World) -> None:
    """R32"""
    await world.seed("a1")
    world.gateway.script("pm-a1", SOFT)
    await world.collect()
    await world.execute("UPDATE billing.accounts SET state = 'INACTIVE', past_due_since = NULL")
    await world.pass_time(DAY_S)
    assert (await world.collect(ref(attempt_no=2))).note == {"paid": 1}
    assert await world.state() == "INACTIVE"


async def test_bill_that_says_nothing_of_its_next_attempt_is_held_and_can_be_let_go(
    world: World,
) -> None:
    """What no sweep finds must at least be found by who looks for it."""
    await world.seed("a1")
    await world.execute("UPDATE billing.bills SET next_attempt_at = NULL")
    assert await due(world) == []
    async with world.database.transaction() as connection:
        assert len(await collection.held_bills(connection, "acme")) == 1
        await collection.let_go(connection, "acme", now=NOW)
    assert await due(world) == [("a1", MARCH)]


async def test_one_accounts_trouble_never_fails_its_neighbours(world: World) -> None:
    names = [f"a{number}" for number in range(8)]
    await world.seed(*names)
    world.gateway.script("pm-a0", HARD)
    world.gateway.script("pm-a1", LOST)
    world.gateway.script("pm-a2", Step(Busy("409", 3.0)))
    world.gateway.script("pm-a3", *[Step(NotSent("refused"))] * 2)
    with pytest.raises(Transient, match="1 busy"):
        await world.collect(*[ref(name) for name in [*names, "unknown"]])
    paid = await world.rows("SELECT account_id FROM billing.bills WHERE state = 'paid'")
    assert {name for (name,) in paid} == set(names[4:])


async def test_gateway_that_breaks_for_one_account_is_an_open_question_for_that_one(
    world: World,
) -> None:
    """R23: an error that nobody has foreseen says nothing about the money."""

    class Broken(MemoryGateway):
        async def charge(self, name: str, body: str) -> GatewayAnswer:
            if ":a1:" in name:
                raise ValueError("not what an adapter should raise")
            return await super().charge(name, body)

    world.gateway = Broken(world.clock)
    await world.seed("a1", "a2")
    assert (await world.collect(ref("a1"), ref("a2"))).note == {"unknown": 1, "paid": 1}
    assert await world.attempts("a1") == [(1, "unknown")]


async def test_unsent_attempt_is_left_behind_when_the_payment_method_has_changed(
    world: World,
) -> None:
    """R21: a key keeps its body for ever, so another method is another key."""
    await world.seed("a1")
    world.gateway.script("pm-a1", *[Step(NotSent("refused"))] * 2)
    await world.collect(receive_count=5)
    await world.execute("UPDATE billing.accounts SET payment_method = 'new'")
    assert (await world.collect()).note == {"paid": 1}
    assert await world.attempts() == [(1, "not_sent"), (2, "succeeded")]
    assert [one.key for one in world.gateway.charges] == [key(attempt_no=2)]


async def test_more_bills_than_may_be_called_at_once_are_all_collected(world: World) -> None:
    names = [f"a{number:03}" for number in range(60)]
    await world.seed(*names)
    assert (await world.collect(*[ref(name) for name in names])).note == {"paid": 60}
    assert len(world.gateway.charges) == 60
