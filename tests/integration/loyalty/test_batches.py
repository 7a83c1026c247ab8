"""Messages of different cards share a transaction, and nobody notices."""

import asyncio
import random

from billfleet_contracts import Event, SetProgramme
from billfleet_workers.runtime.errors import Permanent
from loyalty_world import PLAIN, START, World

CARDS = tuple(f"card-{number}" for number in range(12))


async def everything(world: World) -> list[tuple[object, ...]]:
    """All that the books say, but for when and for whom it was written."""
    lots = [
        (card, lot.lot_id, lot.issued, lot.remaining, lot.spent, lot.reversed, lot.owed)
        for card in CARDS
        for lot in (await world.lots(card)).values()
    ]
    cards = [await world.card(card) for card in CARDS]
    return [*lots, *((card.card_id, card.debt_points, card.stamps) for card in cards)]


async def test_batches_come_to_what_single_messages_come_to(world: World) -> None:
    """R58, R62, R68: stock, debts, vouchers and lots are the same, however messages are packed."""
    other = World(world.database, tenant="other")
    chance = random.Random(20)
    bought: dict[str, list[str]] = {card: [] for card in CARDS}
    for each in (world, other):
        await each.seed(PLAIN, *CARDS)
    for _ in range(8):
        wave: list[Event] = []
        for card in chance.sample(CARDS, 9):
            name = f"w{world.new_id()}"
            event: Event
            match chance.randrange(5):
                case 0 | 1:
                    event = world.buying(chance.randint(1, 80), card=card, transaction_id=name)
                    bought[card].append(name)
                case 2:
                    event = world.redeeming(chance.choice(["last", "poster"]), card=card)
                case 3 if bought[card]:
                    event = world.cancelling(chance.choice(bought[card]), card=card)
                case _:
                    event = world.stamping(chance.randint(1, 6), card=card)
            wave.append(event)
        together = await world.handle_all(*(world.work(event) for event in wave))
        one_by_one = [await other.handle(event) for event in wave]
        assert together == one_by_one
    assert await everything(world) == await everything(other)
    assert await world.verify() == []


async def test_the_last_one_of_a_reward_goes_to_one_card_of_a_batch(world: World) -> None:
    """R58: whoever is served next at the same counter finds it gone."""
    await world.seed(PLAIN, *CARDS)
    for card in CARDS:
        await world.buy(10, card=card)
    works = [world.work(world.redeeming("last", card=card)) for card in CARDS]
    words = await world.handle_all(*works)
    assert words == ["done", *["out_of_stock"] * (len(CARDS) - 1)]
    assert await world.handle_all(*works) == ["already_done"] * len(CARDS)


async def test_a_message_at_fault_leaves_its_neighbours_alone(world: World) -> None:
    await world.seed(PLAIN, *CARDS)
    good, bad = world.work(world.buying(10, card="card-1")), world.work(world.buying(card="nobody"))
    rules = world.work(
        SetProgramme(programme_id="nothing", version=1, valid_from=START, rules=PLAIN)
    )
    answers = await world.handler.handle_batch([bad, good, rules])
    assert [isinstance(answer, Permanent) for answer in answers] == [True, False, True]
    assert (await world.balance("card-1")).spendable == 10
    assert world.metrics.counted["loyalty_transactions", "points", "done"] == 1


async def test_tenants_of_one_batch_keep_apart(world: World) -> None:
    """R70: the same ids at two tenants are two cards."""
    other = World(world.database, tenant="other")
    for each in (world, other):
        await each.seed()
    mine = world.work(world.buying(10, transaction_id="t"))
    theirs = other.work(other.buying(20, transaction_id="t"))
    assert await world.handle_all(mine, theirs) == ["done", "done"]
    assert [await world.spendable(), await other.spendable()] == [10, 20]


async def test_batches_that_want_the_same_cards_and_rewards_do_not_block_each_other(
    world: World,
) -> None:
    """R44: cards first and then rewards, each in one order, whatever the order of the messages."""
    await world.seed(PLAIN, *CARDS)
    for card in CARDS:
        await world.buy(60, card=card)

    async def redeem(seed: int) -> list[str]:
        cards = list(CARDS)
        random.Random(seed).shuffle(cards)
        wanted = [("last", "poster")[(seed + n) % 2] for n in range(len(cards))]
        events = [
            world.redeeming(reward, card=card) for reward, card in zip(wanted, cards, strict=True)
        ]
        return await world.handle_all(*(world.work(event) for event in events))

    words = [word for batch in await asyncio.gather(*map(redeem, range(6))) for word in batch]
    assert words.count("done") >= len(CARDS) + 1
    assert (await world.balance("card-3")).spendable >= 0


async def test_a_card_that_comes_twice_in_a_batch_is_served_one_after_the_other(
    world: World,
) -> None:
    """R58: senders name the queue's groups, and two of one card may come in different ones."""
    await world.seed()
    await world.buy(100)
    works = [world.work(world.redeeming("mug")) for _ in range(3)]
    words = await world.handle_all(*works)
    assert words == ["done", "not_enough_points", "not_enough_points"]
    assert await world.spendable() == 0


async def test_what_a_batch_credits_can_be_spent_and_taken_back_in_it(world: World) -> None:
    await world.seed()
    bought, taken = world.buying(100), world.redeeming("mug")
    back = world.cancelling(taken.transaction_id)
    works = [world.work(event) for event in (bought, taken, back)]
    assert await world.handle_all(*works) == ["done", "done", "done"]
    assert await world.spendable() == 100
