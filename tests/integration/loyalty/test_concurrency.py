"""Several workers at one card, each with its own connection."""

import asyncio
import random
from collections import Counter

import pytest

from billfleet_contracts import Event, ProgrammeRules
from billfleet_db import Database
from billfleet_db.loyalty import Reward
from billfleet_workers.handlers.loyalty_points import sweep_expiry
from loyalty_world import PLAIN, World

WORKERS = 8


async def at_once(world: World, *events: Event) -> Counter[str]:
    return Counter(await asyncio.gather(*(world.handle(event) for event in events)))


@pytest.fixture
async def crowd(database_url: str, world: World) -> World:
    """The world with a connection for each worker."""
    database = Database.connect(database_url, pool_size=WORKERS)
    crowded = World(database)
    await crowded.seed()
    return crowded


async def test_of_many_redemptions_of_the_whole_balance_exactly_one_wins(crowd: World) -> None:
    """R58."""
    await crowd.buy(100)
    words = await at_once(crowd, *(crowd.redeeming() for _ in range(20)))
    assert words == {"done": 1, "not_enough_points": 19}
    assert await crowd.spendable() == 0
    await crowd.database.close()


async def test_one_message_in_many_hands_is_done_once(crowd: World) -> None:
    """R65, R8: even where the dedupe store has let all of them through."""
    bought = crowd.buying(100)
    assert (await at_once(crowd, *[bought] * 10))["done"] == 1
    cancelling = crowd.cancelling(bought.transaction_id)
    assert (await at_once(crowd, *[cancelling] * 10))["done"] == 1
    bought = crowd.buying(50)
    await crowd.handle(bought)
    others = [crowd.cancelling(bought.transaction_id) for _ in range(10)]
    assert await at_once(crowd, *others) == {"done": 1, "already_cancelled": 9}
    assert await crowd.spendable() == 0
    await crowd.database.close()


async def test_the_last_stamp_fills_the_card_once(crowd: World) -> None:
    """R68: 23 stamps at once are four rewards and three stamps."""
    await at_once(crowd, *(crowd.stamping() for _ in range(23)))
    assert (await crowd.vouchers(), (await crowd.card()).stamps) == (4, 3)
    await crowd.database.close()


async def test_the_last_of_a_stock_goes_to_one_of_many_cards(crowd: World) -> None:
    """R44: cards first, then the reward: nobody waits in a circle."""
    names = [f"card{number}" for number in range(12)]
    await crowd.seed(PLAIN, *names, rewards=(Reward("few", "Few", points=1, stock=3),))
    await at_once(crowd, *(crowd.buying(5, card=name) for name in names))
    words = await at_once(crowd, *(crowd.redeeming("few", card=name) for name in names))
    assert words == {"done": 3, "out_of_stock": 9}
    await crowd.database.close()


async def test_everything_at_once_leaves_the_books_right(crowd: World) -> None:
    """R58, R60: purchases, redemptions, cancellations and the expiry sweep side by side."""
    chance = random.Random(7)
    rules = PLAIN.model_copy(update={"debt": "receivable"})
    assert isinstance(rules, ProgrammeRules)
    bought = [crowd.buying(chance.randint(1, 120)) for _ in range(15)]
    await at_once(crowd, *bought)
    events: list[Event] = [crowd.redeeming("poster") for _ in range(10)]
    events += [crowd.cancelling(one.transaction_id) for one in bought[:8]]
    events += [crowd.buying(10) for _ in range(5)]
    chance.shuffle(events)
    await asyncio.gather(at_once(crowd, *events), sweep_expiry(crowd.database, crowd.clock))
    assert await crowd.verify() == []
    assert (await crowd.balance()).shown >= 0
    await crowd.database.close()
