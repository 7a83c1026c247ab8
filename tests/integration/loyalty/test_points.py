"""Earning and spending: what is credited, what can be spent when, and in which order."""

from datetime import UTC, datetime, timedelta

import pytest

from billfleet_contracts import (
    Earning,
    Expiry,
    LoyaltyRefused,
    Multiplier,
    PointsExpired,
    PointsIssued,
    PointsRedeemed,
    ProgrammeRules,
    SetProgramme,
    Tier,
    Tiers,
)
from billfleet_db.loyalty import Reward
from billfleet_workers.handlers.loyalty_points import sweep_expiry
from billfleet_workers.runtime.errors import Permanent
from loyalty_world import DAY, PLAIN, START, World
from rebill_world import execute, left, read

EUR = Earning(points=1, per_minor=100, currency="EUR")


async def test_a_purchase_becomes_a_lot_and_an_event(world: World) -> None:
    await world.seed()
    bought = await world.buy(amount_minor=2999)
    assert await world.spendable() == 29
    [event] = await left(world.database, PointsIssued)
    assert isinstance(event.data, PointsIssued)
    assert (event.data.points, event.data.rules_version, event.subject) == (29, 1, "card")
    lot = (await world.lots())[bought]
    assert (lot.issued, lot.remaining, lot.expires_at) == (29, 29, None)


async def test_a_message_delivered_again_changes_nothing(world: World) -> None:
    await world.seed()
    bought = world.buying(100)
    assert [await world.handle(bought) for _ in range(3)] == [
        "done",
        "already_done",
        "already_done",
    ]
    redeeming = world.redeeming()
    assert [await world.handle(redeeming) for _ in range(2)] == ["done", "already_done"]
    assert await world.spendable() == 0
    assert len(await left(world.database, PointsRedeemed)) == 1


async def test_an_id_that_was_used_for_something_else_is_poison(world: World) -> None:
    await world.seed(PLAIN, "card", "other")
    await world.handle(world.buying(1, transaction_id="x"))
    for again in (
        world.buying(2, transaction_id="x"),
        world.buying(1, card="other", transaction_id="x"),
    ):
        with pytest.raises(Permanent, match="another request"):
            await world.handle(again)


async def test_lots_are_burnt_in_one_order_whatever_they_were_written_in(world: World) -> None:
    """R57: earliest expiry, then earliest issue, then id; what never expires comes last."""
    await world.seed(PLAIN)
    never = await world.buy(30, at=START - 9 * DAY)
    dying = ProgrammeRules(earning=EUR, expiry=Expiry(days=30))
    await world.set_rules(dying, 2, START - 5 * DAY)
    late, early = await world.buy(30, at=START - DAY), await world.buy(30, at=START - 2 * DAY)
    first = ProgrammeRules(earning=EUR, burn_priority=1)
    await world.set_rules(first, 3, START)
    preferred = await world.buy(30)
    await world.redeem("mug")
    lots = await world.lots()
    assert [lots[lot].spent for lot in (preferred, early, late, never)] == [30, 30, 30, 10]


async def test_a_lot_is_spendable_until_its_day_ends_in_the_tenants_zone(world: World) -> None:
    """R59: at T - epsilon, not at T, without the job having run."""
    rules = ProgrammeRules(earning=EUR, expiry=Expiry(months=1))
    await world.seed(rules, "card", "other", time_zone="Pacific/Auckland")
    day = datetime(2026, 1, 31, 12, tzinfo=UTC)  # already 1 February in Auckland
    await world.buy(100, at=day)
    await world.buy(100, card="other", at=day)
    ends = datetime(2026, 3, 1, 11, tzinfo=UTC)  # 2 March, 00:00 there
    [lot] = (await world.lots()).values()
    assert lot.expires_at == ends
    assert (await world.balance(at=ends - timedelta(microseconds=1))).spendable == 100
    assert (await world.balance(at=ends)).spendable == 0
    world.clock.set(ends - timedelta(microseconds=1))
    assert await world.handle(world.redeeming()) == "done"
    world.clock.set(ends)
    assert await world.handle(world.redeeming(card="other")) == "not_enough_points"


async def test_the_expiry_job_books_the_unspent_remainder_once(world: World) -> None:
    """R60: run twice, the second finds nothing; balances are the same before and after."""
    rules = ProgrammeRules(earning=EUR, expiry=Expiry(days=10))
    await world.seed(rules, "card", "other")
    bought = await world.buy(100)
    await world.buy(7, card="other")
    await world.redeem("poster")
    world.later(20 * DAY)
    before = await world.balance()
    counted = await sweep_expiry(world.database, world.clock, dry_run=True)
    reports = [await sweep_expiry(world.database, world.clock) for _ in range(2)]
    assert [(r.cards, r.lots, r.points) for r in (counted, *reports)] == [
        (2, 2, 67),
        (2, 2, 67),
        (0, 0, 0),
    ]
    assert await world.balance() == before
    lot = (await world.lots())[bought]
    assert (lot.issued, lot.spent, lot.expired, lot.remaining) == (100, 40, 60, 0)
    assert len(await left(world.database, PointsExpired)) == 2


async def test_the_sweep_of_one_tenant_leaves_others_alone(world: World) -> None:
    """R70."""
    rules = ProgrammeRules(earning=EUR, expiry=Expiry(days=10))
    await world.seed(rules)
    await world.buy(5)
    world.later(20 * DAY)
    assert (await sweep_expiry(world.database, world.clock, tenant="other")).lots == 0
    assert (await sweep_expiry(world.database, world.clock, tenant="acme")).lots == 1


async def test_pending_points_are_neither_spendable_nor_counted_for_a_tier(world: World) -> None:
    """R67."""
    rules = ProgrammeRules(
        earning=EUR,
        pending_days=14,
        tiers=Tiers(window_days=365, levels=(Tier(name="gold", threshold=100),)),
    )
    await world.seed(rules, rewards=(Reward("vip", "VIP", points=1, tiers=("gold",)),))
    await world.buy(150)
    balance = await world.balance()
    assert (balance.spendable, balance.pending) == (0, 150)
    assert await world.handle(world.redeeming("vip")) == "not_in_tier"
    world.later(14 * DAY)
    assert await world.spendable() == 150
    assert await world.handle(world.redeeming("vip")) == "done"


async def test_a_daily_cap_counts_the_tenants_day(world: World) -> None:
    earning = Earning(points=1, per_minor=100, currency="EUR", cap_per_day=50)
    await world.seed(ProgrammeRules(earning=earning), time_zone="Asia/Tokyo")
    world.clock.set(datetime(2026, 3, 2, 12, tzinfo=UTC))
    for hour in (10, 14, 14.5, 15):  # Tokyo's midnight is 15:00 UTC
        await world.buy(40, at=datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=hour))
    issued = [lot.issued for lot in (await world.lots()).values()]
    assert issued == [40, 10, 40]


async def test_a_purchase_follows_the_rules_of_its_own_time(world: World) -> None:
    """A programme that changes between enqueue and processing changes nothing of the purchase."""
    await world.seed()
    before, after = world.buying(10), world.buying(10, at=START + timedelta(hours=1))
    double = ProgrammeRules(earning=EUR, multipliers=(Multiplier(name="double", percent=200),))
    change = SetProgramme(
        programme_id="club", version=2, valid_from=START + timedelta(minutes=1), rules=double
    )
    world.later(timedelta(hours=1))
    words = [await world.handle(change) for _ in range(2)]
    assert words == ["versions", "already_done"]
    await world.handle(before)
    await world.handle(after)
    assert [lot.issued for lot in (await world.lots()).values()] == [10, 20]
    with pytest.raises(Permanent, match="another already"):
        await world.handle(change.model_copy(update={"rules": PLAIN}))


@pytest.mark.parametrize(
    ("reward", "reason"),
    [("mug", "not_enough_points"), ("nothing", "unknown_reward"), ("coffee", "not_for_points")],
)
async def test_a_refused_redemption_changes_nothing_and_uses_its_id_up(
    world: World, reward: str, reason: str
) -> None:
    await world.seed()
    await world.buy(50)
    refused = world.redeeming(reward)
    assert await world.handle(refused) == reason
    await world.buy(500)
    assert await world.handle(refused) == "already_done"
    assert await world.spendable() == 550
    [event] = await left(world.database, LoyaltyRefused)
    assert isinstance(event.data, LoyaltyRefused)
    assert event.data.reason == reason


async def test_the_last_one_is_handed_out_once_and_comes_back_with_its_cancellation(
    world: World,
) -> None:
    await world.seed()
    await world.buy(100)
    first = await world.redeem("last")
    assert await world.handle(world.redeeming("last")) == "out_of_stock"
    assert await world.cancel(first) == "done"
    assert await world.handle(world.redeeming("last")) == "done"


async def test_a_reward_has_its_time_and_its_number_per_card(world: World) -> None:
    rewards = (
        Reward("soon", "Soon", points=1, starts_at=START + DAY),
        Reward("gone", "Gone", points=1, ends_at=START),
        Reward("one", "One", points=1, per_card_max=1),
    )
    await world.seed(PLAIN, rewards=rewards)
    await world.buy(10)
    assert await world.handle(world.redeeming("soon")) == "not_on_offer"
    assert await world.handle(world.redeeming("gone")) == "not_on_offer"
    first = await world.redeem("one")
    assert await world.handle(world.redeeming("one")) == "had_enough"
    await world.cancel(first)
    assert await world.handle(world.redeeming("one")) == "done"


async def test_a_card_of_another_tenant_or_brand_is_not_found(world: World) -> None:
    """R70: neither by a message, nor by a store, nor by a query of that tenant."""
    await world.seed()
    rival = World(world.database, tenant="rival")
    await rival.seed(PLAIN, "theirs", brand="south")
    await world.seed(PLAIN, "sister", brand="south", programme="south-club")
    bought = await world.buy(100)
    with pytest.raises(Permanent, match="no card card of tenant rival"):
        await world.handle(world.redeeming(), tenant="rival")
    with pytest.raises(Permanent, match="no transaction"):
        await rival.handle(rival.cancelling(bought, card="theirs"))
    with pytest.raises(Permanent, match="no transaction"):
        await world.handle(world.cancelling(bought, card="sister"))
    assert await world.handle(world.buying(1, store="south-1")) == "other_brand"
    assert await world.handle(world.buying(1, store="north-1")) == "done"
    assert await rival.handle(rival.buying(1, card="theirs", store="north-1")) == "unknown_store"
    assert await rival.lots("card") == {}
    assert await read(world.database, "SELECT count(*) FROM loyalty.cards") == [(0,)]


async def test_the_database_refuses_a_movement_between_tenants(world: World) -> None:
    """R70: composite keys, whatever a program asks for."""
    await world.seed()
    rival = World(world.database, tenant="rival")
    await rival.seed(PLAIN, "theirs")
    await world.buy(5)
    with pytest.raises(Exception, match="row-level security"):
        await execute(
            world.database,
            "INSERT INTO loyalty.lots (tenant_id, lot_id, card_id, priority, issued, remaining, "
            "issued_at, available_at) VALUES ('rival', 't1', 'theirs', 1, 1, 1, now(), now())",
        )
    with pytest.raises(Exception, match="fk_lots_transactions"):
        await rival.execute(
            "INSERT INTO loyalty.lots (tenant_id, lot_id, card_id, priority, issued, remaining, "
            "issued_at, available_at) VALUES ('rival', 't1', 'theirs', 1, 1, 1, now(), now())"
        )


async def test_the_database_holds_each_lot_together(world: World) -> None:
    """R58, R60: no statement takes a lot below zero or makes points out of nothing."""
    await world.seed()
    await world.buy(5)
    for change in ("remaining = remaining - 6, spent = spent + 6", "remaining = remaining + 1"):
        with pytest.raises(Exception, match="ck_lots"):
            await world.execute(f"UPDATE loyalty.lots SET {change}")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"currency": "USD"}, "other_currency"),
        ({"at": START + 2 * DAY}, "in_the_future"),
        ({"amount_minor": 2**53 - 1}, "too_many_points"),
    ],
)
async def test_a_purchase_that_cannot_be_credited_is_written_down(
    world: World, changes: dict[str, object], reason: str
) -> None:
    await world.seed()
    assert await world.handle(world.buying(1, **changes)) == reason  # type: ignore[arg-type]
    assert await world.lots() == {}


async def test_an_unknown_card_is_poison_until_it_is_opened(world: World) -> None:
    await world.seed()
    event = world.buying(1, card="nobody")
    with pytest.raises(Permanent, match="no card nobody"):
        await world.handle(event)
    await world.seed(PLAIN, "nobody")
    assert await world.handle(event) == "done"
