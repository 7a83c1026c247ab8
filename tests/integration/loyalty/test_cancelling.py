"""Taking back, when the points have been spent or have expired meanwhile."""

from datetime import timedelta

import pytest

from billfleet_contracts import (
    Earning,
    Expiry,
    PointsIssued,
    PointsReversed,
    ProgrammeRules,
    Stamps,
)
from billfleet_workers.handlers.loyalty_points import sweep_expiry
from billfleet_workers.runtime.errors import Permanent
from loyalty_world import DAY, PLAIN, World
from rebill_world import left

EUR = Earning(points=1, per_minor=100, currency="EUR")
NEGATIVE = ProgrammeRules(earning=EUR, debt="negative_balance")


async def test_a_cancelled_redemption_goes_back_to_its_lots_with_their_own_expiry(
    world: World,
) -> None:
    """R61: the last lot that was taken from is given back first."""
    await world.seed(ProgrammeRules(earning=EUR, expiry=Expiry(days=100)))
    old, new = await world.buy(60, at=world.clock.now() - DAY), await world.buy(60)
    expiries = {lot: each.expires_at for lot, each in (await world.lots()).items()}
    redeemed = await world.redeem("mug")
    await world.cancel(redeemed, 50)
    lots = await world.lots()
    assert [(lots[lot].spent, lots[lot].remaining) for lot in (old, new)] == [(50, 10), (0, 60)]
    await world.cancel(redeemed)
    lots = await world.lots()
    assert [(lots[lot].spent, lots[lot].remaining) for lot in (old, new)] == [(0, 60), (0, 60)]
    assert {lot: each.expires_at for lot, each in lots.items()} == expiries
    assert await world.spendable() == 120


@pytest.mark.parametrize(("grace_days", "spendable"), [(0, 0), (30, 100)])
async def test_points_that_come_back_too_late_follow_the_programmes_policy(
    world: World, grace_days: int, spendable: int
) -> None:
    """R61: they expire at once, or live on for so many days."""
    await world.seed(ProgrammeRules(earning=EUR, expiry=Expiry(days=10), grace_days=grace_days))
    bought = await world.buy(100)
    redeemed = await world.redeem("mug")
    world.later(20 * DAY)
    await world.cancel(redeemed)
    lot = (await world.lots())[bought]
    assert (lot.spent, lot.expired, lot.remaining) == (0, 100, 0)
    assert await world.spendable() == spendable
    world.later((grace_days + 1) * DAY)
    assert await world.spendable() == 0


async def test_points_of_a_lot_that_was_expired_stay_expired_for_a_cancellation_that_began_earlier(
    world: World,
) -> None:
    """R60, R61: it waited for the card while the sweep had it, or its worker's clock is behind.

    A lot that had something left would be expired a second time, under the id of the first time,
    and no later message of the card could be done.
    """
    await world.seed(ProgrammeRules(earning=EUR, expiry=Expiry(days=10)))
    bought = await world.buy(120)
    redeemed = await world.redeem("mug")
    before = world.clock.now()
    world.later(20 * DAY)
    await sweep_expiry(world.database, world.clock)
    world.clock.set(before)
    assert await world.cancel(redeemed) == "done"
    lot = (await world.lots())[bought]
    assert (lot.spent, lot.expired, lot.remaining) == (0, 120, 0)
    world.later(21 * DAY)
    await world.buy(10)
    assert await world.spendable() == 10
    assert await world.verify() == []


async def test_a_cancelled_purchase_takes_what_is_left_of_its_lot_and_the_rest_is_owed(
    world: World,
) -> None:
    """R62: other lots are left alone; the next earnings pay the debt; nothing is clamped."""
    await world.seed()
    bought, other = await world.buy(120), await world.buy(20)
    await world.redeem("mug")
    await world.cancel(bought)
    [event] = await left(world.database, PointsReversed)
    assert isinstance(event.data, PointsReversed)
    assert (event.data.taken, event.data.owed, event.data.void) == (20, 100, 0)
    assert (await world.lots())[other].remaining == 20
    assert (await world.balance()).debt == 100
    assert await world.spendable() == 20
    await world.buy(70)
    assert ((await world.balance()).debt, await world.spendable()) == (30, 20)
    await world.buy(70)
    assert ((await world.balance()).debt, await world.spendable()) == (0, 60)
    issued = [envelope.data for envelope in await left(world.database, PointsIssued)]
    assert [one.recovered for one in issued if isinstance(one, PointsIssued)] == [0, 0, 70, 30]


async def test_only_a_programme_that_says_so_lets_a_balance_go_below_zero(world: World) -> None:
    """R58, R62."""
    await world.seed(NEGATIVE)
    bought = await world.buy(100)
    await world.redeem("mug")
    await world.cancel(bought)
    below = await world.balance(rules=NEGATIVE)
    assert (below.shown, below.spendable, below.debt) == (-100, 0, 100)
    assert (await world.balance(rules=PLAIN)).shown == 0
    assert await world.handle(world.redeeming("poster")) == "not_enough_points"


async def test_buying_redeeming_and_returning_again_and_again_wins_nothing(world: World) -> None:
    """R62: the exploit that a clamp at zero opens."""
    await world.seed()
    words = []
    for _ in range(5):
        bought = await world.buy(100)
        words.append(await world.handle(world.redeeming()))
        await world.cancel(bought)
    assert words == ["done"] + ["not_enough_points"] * 4
    assert (await world.balance()).debt == 100
    assert await world.spendable() == 0


async def test_when_both_are_cancelled_nothing_is_left_and_nothing_is_owed(world: World) -> None:
    """R61, R62: what comes back pays the debt first, also when its lot has expired."""
    await world.seed(ProgrammeRules(earning=EUR, expiry=Expiry(days=10)))
    bought = await world.buy(100)
    redeemed = await world.redeem("mug")
    await world.cancel(bought)
    world.later(20 * DAY)
    await world.cancel(redeemed)
    balance = await world.balance()
    assert (balance.debt, balance.spendable) == (0, 0)


async def test_a_cancelled_purchase_whose_points_have_expired_is_recorded_and_costs_nothing(
    world: World,
) -> None:
    """R63."""
    await world.seed(ProgrammeRules(earning=EUR, expiry=Expiry(days=10)))
    bought = await world.buy(100)
    world.later(20 * DAY)
    assert await world.cancel(bought) == "done"
    balance = await world.balance()
    assert (balance.debt, balance.spendable) == (0, 0)
    lot = (await world.lots())[bought]
    assert (lot.expired, lot.voided, lot.reversed, lot.owed) == (100, 100, 0, 0)


@pytest.mark.parametrize("rounding", ["floor", "half_up", "ceiling"])
async def test_many_partial_refunds_reverse_what_one_full_refund_does(
    world: World, rounding: str
) -> None:
    """R64: also with a minimum spend, in every rounding mode."""
    earning = EUR.model_copy(
        update={"rounding": rounding, "per_minor": 70, "minimum_spend_minor": 300}
    )
    await world.seed(ProgrammeRules(earning=earning))
    bought = await world.buy(amount_minor=1049)
    issued = (await world.lots())[bought].issued
    reversed_so_far = []
    for part in (149, 233, 333, 334):
        assert await world.cancel(bought, part) == "done"
        reversed_so_far.append((await world.lots())[bought].reversed)
    assert reversed_so_far == sorted(reversed_so_far)
    assert reversed_so_far[-1] == issued
    assert 0 < reversed_so_far[0] < issued
    assert await world.cancel(bought, 1) == "already_cancelled"


async def test_the_same_cancellation_twice_is_one_reversal(world: World) -> None:
    """R65: delivered twice, or asked for twice under two ids."""
    await world.seed()
    bought = await world.buy(100)
    cancelling = world.cancelling(bought)
    assert [await world.handle(cancelling) for _ in range(2)] == ["done", "already_done"]
    assert await world.cancel(bought) == "already_cancelled"
    assert len(await left(world.database, PointsReversed)) == 1
    assert (await world.lots())[bought].reversed == 100


async def test_the_database_refuses_a_second_final_cancellation(world: World) -> None:
    """R65: with no help from the worker."""
    await world.seed()
    bought = await world.buy(100)
    await world.cancel(bought)
    with pytest.raises(Exception, match="uq_transactions_final_cancel"):
        await world.execute(
            "INSERT INTO loyalty.transactions (tenant_id, transaction_id, card_id, "
            "programme_id, kind, state, cancels, cancel_no, is_final, request_hash, work_id, "
            "occurred_at, recorded_at) SELECT tenant_id, 'again', card_id, programme_id, kind, "
            "state, cancels, 2, true, '', '', occurred_at, recorded_at "
            "FROM loyalty.transactions WHERE kind = 'cancel'"
        )


async def test_nothing_earned_with_points_is_lost_or_won_by_a_refund(world: World) -> None:
    """R66: no points on the redeemed part, and its refund takes none."""
    await world.seed()
    event = world.buying(amount_minor=5000, redeemed_minor=2000)
    await world.handle(event)
    assert await world.spendable() == 30
    await world.cancel(event.transaction_id, 1000)
    assert await world.spendable() == 20
    await world.cancel(event.transaction_id)
    assert await world.spendable() == 0


async def test_what_cannot_be_cancelled_says_why(world: World) -> None:
    await world.seed()
    bought = await world.buy(10)
    refused = world.redeeming()
    await world.handle(refused)
    cancelled = world.cancelling(bought, 500)
    await world.handle(cancelled)
    assert await world.cancel(refused.transaction_id) == "was_refused"
    assert await world.cancel(cancelled.transaction_id) == "not_cancellable"
    assert await world.cancel(bought, 501) == "more_than_left"
    with pytest.raises(Permanent, match="no transaction nothing"):
        await world.cancel("nothing")


async def test_a_free_purchase_is_cancelled_like_any_other(world: World) -> None:
    await world.seed()
    bought = await world.buy(0)
    assert await world.cancel(bought) == "done"
    assert await world.cancel(bought) == "already_cancelled"


async def test_a_full_stamp_card_is_one_voucher_and_the_rest_carries_over(world: World) -> None:
    """R68."""
    await world.seed()
    await world.handle(world.stamping(4))
    assert await world.vouchers() == 0
    await world.handle(world.stamping(8))
    assert (await world.vouchers(), (await world.card()).stamps) == (2, 2)
    await world.redeem("coffee", voucher=True)
    await world.redeem("coffee", voucher=True)
    assert await world.handle(world.redeeming("coffee", voucher=True)) == "no_voucher"


async def test_cancelled_stamps_void_the_voucher_that_they_had_filled(world: World) -> None:
    """R68: or leave a gap that the next stamps fill, where it was used."""
    await world.seed()
    first, second = world.stamping(6), world.stamping(6)
    await world.handle(first)
    await world.handle(second)
    assert (await world.vouchers(), (await world.card()).stamps) == (2, 2)
    await world.cancel(second.transaction_id, 3)
    assert (await world.vouchers(), (await world.card()).stamps) == (1, 4)
    await world.redeem("coffee", voucher=True)
    await world.cancel(second.transaction_id)
    await world.cancel(first.transaction_id)
    assert (await world.vouchers(), (await world.card()).stamps) == (0, -5)
    await world.handle(world.stamping(9))
    assert (await world.vouchers(), (await world.card()).stamps) == (0, 4)


async def test_a_voucher_comes_back_with_the_cancellation_of_its_redemption(world: World) -> None:
    await world.seed()
    await world.handle(world.stamping(5))
    redeemed = await world.redeem("coffee", voucher=True)
    assert await world.vouchers() == 0
    assert await world.cancel(redeemed) == "done"
    assert await world.vouchers() == 1


async def test_a_programme_without_a_stamp_card_refuses_stamps(world: World) -> None:
    await world.seed(ProgrammeRules(stamps=None, earning=EUR))
    assert await world.handle(world.stamping()) == "no_stamp_card"
    await world.set_rules(
        ProgrammeRules(stamps=Stamps(size=2, reward_id="coffee", per_visit=3)), 2, world.clock.now()
    )
    world.later(timedelta(seconds=1))
    await world.handle(world.stamping(1))
    assert (await world.vouchers(), (await world.card()).stamps) == (1, 1)


@pytest.mark.parametrize(("spent_again", "owed"), [(False, 0), (True, 40)])
async def test_points_that_were_given_anew_are_taken_back_with_their_purchase(
    world: World, *, spent_again: bool, owed: int
) -> None:
    """R61, R62: the grace of a late cancellation is no way to keep the points and the money."""
    rules = PLAIN.model_copy(update={"expiry": Expiry(days=3), "grace_days": 5})
    await world.seed(rules)
    bought = await world.buy(100)
    taken = await world.redeem("poster")
    world.later(5 * DAY)
    assert await world.cancel(taken) == "done"
    assert await world.spendable() == 40
    if spent_again:
        await world.redeem("poster")
    assert await world.cancel(bought) == "done"
    assert (await world.spendable(), (await world.card()).debt_points) == (0, owed)


async def test_points_that_have_ended_twice_cost_nobody_anything(world: World) -> None:
    """R63"""
    rules = PLAIN.model_copy(update={"expiry": Expiry(days=3), "grace_days": 5})
    await world.seed(rules)
    bought = await world.buy(100)
    taken = await world.redeem("poster")
    world.later(5 * DAY)
    await world.cancel(taken)
    world.later(9 * DAY)
    assert await world.cancel(bought) == "done"
    assert (await world.spendable(), (await world.card()).debt_points) == (0, 0)
