"""Whatever a card has been through: when all of it is cancelled, nothing was won or lost."""

import random
from datetime import timedelta

import pytest

from billfleet_contracts import (
    AddPoints,
    CancelTransaction,
    Earning,
    Expiry,
    IssueStamps,
    Multiplier,
    ProgrammeRules,
    RedeemReward,
    Stamps,
)
from billfleet_db import loyalty
from billfleet_db.loyalty import Reward
from loyalty_world import World

CardEvent = AddPoints | IssueStamps | RedeemReward | CancelTransaction
REWARDS = (
    Reward("tiny", "Something tiny", points=7, stock=5),
    Reward("poster", "A poster", points=40),
    Reward("coffee", "A coffee"),
)


def _rules(chance: random.Random, *, is_ending: bool) -> ProgrammeRules:
    return ProgrammeRules(
        earning=Earning(
            points=chance.choice((1, 3)),
            per_minor=chance.choice((100, 70, 1)),
            currency="EUR",
            rounding=chance.choice(("floor", "half_up", "ceiling")),
            minimum_spend_minor=chance.choice((0, 500)),
            cap_per_day=chance.choice((None, 60)),
        ),
        multipliers=(Multiplier(name="x", percent=chance.choice((33, 150))),),
        stamps=Stamps(size=chance.choice((2, 3, 5)), reward_id="coffee"),
        pending_days=chance.choice((0, 0, 2)),
        expiry=Expiry(days=3) if is_ending else None,
        debt=chance.choice(("receivable", "negative_balance")),
        grace_days=chance.choice((0, 5)) if is_ending else 0,
    )


async def _stamps_in_vouchers(world: World) -> int:
    async with world.database.transaction() as connection:
        await loyalty.see_tenant(connection, world.tenant)
        found = await loyalty.programmes.open_vouchers(connection, world.tenant, "card")
    return sum(voucher.stamps for voucher in found)


def _event(world: World, chance: random.Random, done: list[str]) -> CardEvent:
    match chance.randrange(8):
        case 0 | 1 | 2:
            return world.buying(amount_minor=chance.choice((0, 99, 499, 1000, 3333, 20000)))
        case 3 | 4:
            return world.redeeming(chance.choice(("tiny", "poster")))
        case 5:
            return world.redeeming("coffee", voucher=True)
        case 6 if done:
            return world.cancelling(chance.choice(done), chance.choice((None, 1, 3, 250)))
        case _:
            return world.stamping(chance.randint(1, 6))


@pytest.mark.parametrize("seed", range(12))
async def test_a_card_whose_every_transaction_is_cancelled_is_empty(
    world: World, seed: int
) -> None:
    """R60 to R64, R68: in any order, in parts, past other rules and past the end of points."""
    chance = random.Random(seed)
    is_ending = seed % 3 == 0
    await world.seed(_rules(chance, is_ending=is_ending), rewards=REWARDS)
    done: list[str] = []
    for turn in range(40):
        event = _event(world, chance, done)
        if await world.handle(event) == "done" and not isinstance(event, CancelTransaction):
            done.append(event.transaction_id)
        if chance.random() < 0.2:
            world.later(timedelta(hours=chance.choice((1, 12, 30))))
        if turn == 20:
            changed = _rules(chance, is_ending=is_ending)
            await world.set_rules(changed, version=2, valid_from=world.clock.now())
    for one in chance.sample(done, len(done)):
        await world.cancel(one, 1)
        assert await world.cancel(one) in {"done", "already_cancelled"}
    card = await world.card()
    left = sum(lot.remaining for lot in (await world.lots()).values())
    # Points that had ended when they were asked back cost nobody anything.
    assert left <= card.debt_points if is_ending else left == card.debt_points
    assert card.stamps + await _stamps_in_vouchers(world) == 0
