"""What each request does to a card: purchase, stamps, redemption.

The handler calls one act per message, between opening and closing the visit. An act looks at what
the counter has read, moves points in the visit's book, and returns what to write down; or it
refuses, before anything has moved. Cancellations are next door, in `undoing`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from billfleet_contracts import (
    AddPoints,
    Event,
    IssueStamps,
    PointsIssued,
    PointsRedeemed,
    ProgrammeRules,
    RedeemReward,
    StampsIssued,
)
from billfleet_db import loyalty
from billfleet_db.loyalty import Lot, Reward
from billfleet_workers.handlers.loyalty_points.earning import (
    Earned,
    Standing,
    TooManyPoints,
    earn,
    expires_at,
    tier_of,
)
from billfleet_workers.handlers.loyalty_points.lots import issue, spend
from billfleet_workers.handlers.loyalty_points.visit import Visit

AHEAD_MAX = timedelta(days=1)
"""How far ahead of our clock a till's clock may be."""


class Refuse(Exception):
    """The request can't be granted. It is written down as refused and changes nothing."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Done:
    """What an act did: columns of the transaction's row, and the facts to tell."""

    columns: Mapping[str, object] = field(default_factory=dict)
    events: Sequence[Event] = ()


def add_points(visit: Visit, event: AddPoints) -> Done:
    """Credit a purchase, under the rules that were valid when it happened."""
    if event.occurred_at > visit.now + AHEAD_MAX:
        raise Refuse("in_the_future")
    check_store(visit, event.store_id)
    version, rules = rules_at(visit, event)
    if rules.earning is not None and rules.earning.currency != event.currency:
        raise Refuse("other_currency")
    standing = _standing(visit, event, rules)
    try:
        earned = earn(rules, event.amount_minor, event.redeemed_minor, standing)
    except TooManyPoints as error:
        raise Refuse("too_many_points") from error
    lot = _lot(visit, event, rules, earned)
    owed = visit.book.debt
    if earned.points:
        issue(visit.book, lot)
        visit.earned_on[lot.lot_id] = standing.day
    issued = PointsIssued(
        card_id=event.card_id,
        transaction_id=event.transaction_id,
        occurred_at=event.occurred_at,
        points=earned.points,
        recovered=owed - visit.book.debt,
        available_at=lot.available_at,
        expires_at=lot.expires_at,
        rules_version=version,
    )
    return Done(_purchase_columns(event, version, earned), (issued,))


def issue_stamps(visit: Visit, event: IssueStamps) -> Done:
    """Stamp the card; each full one becomes a voucher, what is over stays on it (R68)."""
    if event.occurred_at > visit.now + AHEAD_MAX:
        raise Refuse("in_the_future")
    check_store(visit, event.store_id)
    version, rules = rules_at(visit, event)
    if rules.stamps is None:
        raise Refuse("no_stamp_card")
    stamps = event.visits * rules.stamps.per_visit
    visit.book.move("stamp", None, stamps)
    full = max(0, visit.book.stamps) // rules.stamps.size
    visit.book.move("complete", None, full * rules.stamps.size)
    issued = StampsIssued(
        card_id=event.card_id,
        transaction_id=event.transaction_id,
        occurred_at=event.occurred_at,
        stamps=stamps,
        vouchers=full,
        reward_id=rules.stamps.reward_id,
    )
    columns = {
        "store_id": event.store_id,
        "rules_version": version,
        "quantity": stamps,
        "reward_id": rules.stamps.reward_id,
        "basis": {"size": rules.stamps.size, "vouchers": full},
    }
    return Done(columns, (issued,))


async def redeem(visit: Visit, event: RedeemReward) -> Done:
    """Hand out a reward for points or for a voucher; its row was locked after the card's (R44)."""
    check_store(visit, event.store_id)
    version, rules = rules_at(visit, event, now=True)
    key = (visit.card.programme_id, event.reward_id)
    reward = visit.counter.rewards.get(key)
    if reward is None:
        raise Refuse("unknown_reward")
    await _check_eligible(visit, reward, rules)
    points, voucher_id = 0, None
    if event.pay_with == "voucher":
        voucher_id = await _voucher_for(visit, reward)
        visit.used.append(voucher_id)
    elif reward.points is None:
        raise Refuse("not_for_points")
    elif spend(visit.book, reward.points, visit.now, rules.debt):
        points = reward.points
    else:
        raise Refuse("not_enough_points")
    visit.stocks[key] -= 1
    redeemed = PointsRedeemed(
        card_id=event.card_id,
        transaction_id=event.transaction_id,
        occurred_at=event.occurred_at,
        reward_id=event.reward_id,
        points=points,
    )
    columns = {
        "store_id": event.store_id,
        "rules_version": version,
        "reward_id": event.reward_id,
        "quantity": points,
        "basis": {"voucher": voucher_id} if voucher_id else {},
    }
    return Done(columns, (redeemed,))


def check_store(visit: Visit, store_id: str | None) -> None:
    """Refuse a store that is not one of the card's brand (R70)."""
    if store_id is None:
        return
    brand = visit.counter.brands.get(store_id)
    if brand is None:
        raise Refuse("unknown_store")
    if brand != visit.card.brand_id:
        raise Refuse("other_brand")


def rules_at(
    visit: Visit, event: AddPoints | IssueStamps | RedeemReward, *, now: bool = False
) -> tuple[int, ProgrammeRules]:
    """The rules that were valid when it happened, or that are valid now."""
    return visit.counter.rules_at(visit.card, visit.now if now else event.occurred_at)


def _standing(visit: Visit, event: AddPoints, rules: ProgrammeRules) -> Standing:
    return Standing(
        event.store_id,
        event.occurred_at,
        visit.card.time_zone,
        _tier(visit, rules),
        visit.counter.earned.get(visit.card.card_id, 0),
    )


def _tier(visit: Visit, rules: ProgrammeRules) -> str | None:
    """The card's tier at the purchase, or at a redemption."""
    return tier_of(rules.tiers, visit.counter.qualifying.get(visit.card.card_id, 0))


def _lot(visit: Visit, event: AddPoints, rules: ProgrammeRules, earned: Earned) -> Lot:
    return Lot(
        lot_id=event.transaction_id,
        priority=rules.burn_priority,
        issued=earned.points,
        remaining=earned.points,
        issued_at=event.occurred_at,
        available_at=event.occurred_at + timedelta(days=rules.pending_days),
        expires_at=expires_at(rules, event.occurred_at, visit.card.time_zone),
    )


def _purchase_columns(event: AddPoints, version: int, earned: Earned) -> dict[str, object]:
    return {
        "store_id": event.store_id,
        "rules_version": version,
        "amount_minor": event.amount_minor,
        "currency": event.currency,
        "quantity": earned.points,
        "basis": {**earned.basis.as_json(), "steps": list(earned.steps)},
    }


async def _check_eligible(visit: Visit, reward: Reward, rules: ProgrammeRules) -> None:
    """Eligibility reads the rows of this transaction, never a view that may lag (R69)."""
    begun = reward.starts_at is None or reward.starts_at <= visit.now
    if not begun or (reward.ends_at is not None and reward.ends_at <= visit.now):
        raise Refuse("not_on_offer")
    if reward.stock == 0:
        raise Refuse("out_of_stock")
    if reward.tiers and _tier(visit, rules) not in reward.tiers:
        raise Refuse("not_in_tier")
    if reward.per_card_max is not None:
        had = await loyalty.transactions.redeemed(
            visit.counter.connection,
            visit.counter.tenant,
            visit.card.card_id,
            reward.reward_id,
        )
        if had >= reward.per_card_max:
            raise Refuse("had_enough")


async def _voucher_for(visit: Visit, reward: Reward) -> str:
    vouchers = await loyalty.programmes.open_vouchers(
        visit.counter.connection, visit.counter.tenant, visit.card.card_id
    )
    good = [voucher for voucher in vouchers if voucher.reward_id == reward.reward_id]
    if not good:
        raise Refuse("no_voucher")
    return good[0].voucher_id
