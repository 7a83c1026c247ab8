"""Purchases of a file, replayed: balances equal a recomputation that shares nothing with ours."""

import random
from pathlib import Path

import pytest

from billfleet_contracts import CancelTransaction, RedeemReward
from billfleet_ops.errors import UsageWrong
from billfleet_ops.loyalty_replay import compare, set_up, spread
from billfleet_ops.purchase_plan import CardPlan, plan_cards, read_purchases
from loyalty_world import World

CARDS = 60


@pytest.fixture
def purchases(tmp_path: Path) -> Path:
    """Shaped like the public data: many customers with few purchases, a few with many."""
    chance = random.Random(11)
    lines = ["customer_id,date,quantity,amount_usd"]
    for customer in range(CARDS):
        for _ in range(min(40, int(chance.paretovariate(0.9)))):
            amount = f"{chance.randint(0, 9000) / 100:.2f}"
            lines.append(f"{customer:05},1997-{chance.randint(1, 12):02}-11,1,{amount}")
    path = tmp_path / "purchases.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def plan_of(path: Path) -> list[CardPlan]:
    return list(plan_cards(read_purchases(path), cancelled=0.2, redeemed=0.5))


async def test_every_lot_is_as_plain_arithmetic_says_also_the_second_time(
    world: World, purchases: Path
) -> None:
    plans = plan_of(purchases)
    kinds = [type(event) for event in spread(plans)]
    assert kinds.count(RedeemReward) > 20
    assert kinds.count(CancelTransaction) > 20
    await set_up(world.database, "acme", plans)
    compared = []
    for word in ("done", "already_done"):
        assert {await world.handle(event) for event in spread(plans)} == {word}
        compared.append(await compare(world.database, "acme", plans))
    assert compared[0].differences == []
    assert compared[0] == compared[1]
    assert compared[0].debt > 0
    assert compared[0].cards == CARDS


async def test_a_difference_of_one_point_is_found(world: World, purchases: Path) -> None:
    plans = plan_of(purchases)[:3]
    await set_up(world.database, "acme", plans)
    for event in spread(plans):
        await world.handle(event)
    await world.handle(world.buying(card=plans[0].card_id, amount_minor=100, currency="USD"))
    [difference] = (await compare(world.database, "acme", plans)).differences
    assert "lot t1: (1, 0, 0, 0) instead of None" in difference


def test_the_same_file_gives_the_same_plan(purchases: Path) -> None:
    assert plan_of(purchases) == plan_of(purchases)


def test_a_line_that_is_no_purchase_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("customer_id,date,amount_usd\n1,1997-01-01,1.00\n2,1997-13-01,1.00\n")
    with pytest.raises(UsageWrong, match="line 3"):
        list(read_purchases(path))
