"""The counter: cards locked in one order, and all that serving them needs, read set by set.

The handler opens one for the messages of a transaction, the expiry sweep one for a page of cards.
However many cards there are, it asks the database a dozen questions at most. Every read comes after
the locks: a statement that waited for a lock would not see what its holder has written.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import (
    AddPoints,
    CancelTransaction,
    IssueStamps,
    ProgrammeRules,
    RedeemReward,
)
from billfleet_db import loyalty
from billfleet_db.loyalty import Cancelled, Card, Lot, Reward, RewardKey, SpentLot, Transaction
from billfleet_workers.dates import local_today
from billfleet_workers.handlers.loyalty_points.rules_book import Programme, RulesBook

CardEvent = AddPoints | IssueStamps | RedeemReward | CancelTransaction


@dataclass(slots=True)
class Counter:
    """What one transaction has read of the cards that it has locked."""

    connection: AsyncConnection
    tenant: str
    now: datetime
    cards: dict[str, Card]
    known: dict[str, Transaction] = field(default_factory=dict)
    """Of the messages' own transactions, those written down before; and those to cancel."""
    programmes: dict[str, Programme] = field(default_factory=dict)
    lots: dict[str, dict[str, Lot]] = field(default_factory=lambda: defaultdict(dict))
    """Of each card: what is open, and what a cancellation needs."""
    cancelled: dict[str, Cancelled] = field(default_factory=dict)
    spent: dict[str, list[SpentLot]] = field(default_factory=lambda: defaultdict(list))
    anew: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    """Of a lot to cancel: where its expired points were given anew, by grace, and how many."""
    brands: dict[str, str] = field(default_factory=dict)
    rewards: dict[RewardKey, Reward] = field(default_factory=dict)
    earned: dict[str, int] = field(default_factory=dict)
    qualifying: dict[str, int] = field(default_factory=dict)

    def rules_at(self, card: Card, at: datetime) -> tuple[int, ProgrammeRules]:
        """The rules that the card's programme had then."""
        return self.programmes[card.programme_id].at(at)


async def open_counter(
    connection: AsyncConnection,
    tenant: str,
    now: datetime,
    *,
    events: Sequence[CardEvent] = (),
    card_ids: Iterable[str] = (),
    book: RulesBook,
) -> Counter:
    """Lock the cards of these events, and others, and read what there is to know."""
    await loyalty.see_tenant(connection, tenant)
    wanted = {*card_ids, *(event.card_id for event in events)}
    cards = await loyalty.cards.lock(connection, tenant, wanted)
    counter = Counter(connection, tenant, now, cards)
    if events:
        ids = {event.transaction_id for event in events}
        ids |= {event.cancels for event in events if isinstance(event, CancelTransaction)}
        counter.known = await loyalty.transactions.named(connection, tenant, ids)
    _take_in(counter, await loyalty.lots.open_lots(connection, tenant, cards))
    new = [
        event
        for event in events
        if event.card_id in cards and event.transaction_id not in counter.known
    ]
    if new:
        programmes = {card.programme_id for card in cards.values()}
        counter.programmes = await book.read(connection, tenant, programmes)
        await _read_for_cancels(counter, new)
        await _read_rewards(counter, new)
        await _read_standings(counter, new)
        stores = {event.store_id for event in new if not isinstance(event, CancelTransaction)}
        if stores - {None}:
            counter.brands = await loyalty.programmes.brands_of_stores(
                connection, tenant, [store for store in stores if store is not None]
            )
    return counter


def _take_in(counter: Counter, found: Iterable[tuple[str, Lot]]) -> None:
    for card_id, lot in found:
        counter.lots[card_id][lot.lot_id] = lot


async def _read_for_cancels(counter: Counter, new: Sequence[CardEvent]) -> None:
    """Earlier cancellations of the same transactions, and the lots that points go back to."""
    targets = _targets(counter, new)
    if not targets:
        return
    connection, tenant = counter.connection, counter.tenant
    counter.cancelled = await loyalty.transactions.cancels_of(connection, tenant, targets)
    redemptions = [one.transaction_id for one in targets.values() if one.kind == "redemption"]
    if redemptions:
        for transaction_id, lot in await loyalty.lots.spent_by(connection, tenant, redemptions):
            counter.spent[transaction_id].append(lot)
    lots = {one.transaction_id for one in targets.values() if one.kind == "points"}
    for lot_id, grace_id, points in await loyalty.lots.given_anew(connection, tenant, lots):
        counter.anew[lot_id][grace_id] = points
        lots.add(grace_id)
    lots |= {lot.lot_id for taken in counter.spent.values() for lot in taken}
    if lots:
        _take_in(counter, await loyalty.lots.named_lots(connection, tenant, lots))


def _targets(counter: Counter, new: Sequence[CardEvent]) -> dict[str, Transaction]:
    asked = {event.cancels for event in new if isinstance(event, CancelTransaction)}
    return {name: counter.known[name] for name in asked if name in counter.known}


async def _read_rewards(counter: Counter, new: Sequence[CardEvent]) -> None:
    """Rewards that are handed out or come back; their locks follow the cards' (R44)."""
    keys = {
        (counter.cards[event.card_id].programme_id, event.reward_id)
        for event in new
        if isinstance(event, RedeemReward)
    }
    keys |= {
        (one.programme_id, one.reward_id)
        for one in _targets(counter, new).values()
        if one.kind == "redemption" and one.reward_id is not None
    }
    if keys:
        counter.rewards = await loyalty.programmes.lock_rewards(
            counter.connection, counter.tenant, keys
        )


async def _read_standings(counter: Counter, new: Sequence[CardEvent]) -> None:
    """What daily caps and tiers look at, where the rules have any."""
    days, windows = {}, {}
    for event in new:
        if not isinstance(event, AddPoints | RedeemReward):
            continue
        card = counter.cards[event.card_id]
        at = event.occurred_at if isinstance(event, AddPoints) else counter.now
        _, rules = counter.rules_at(card, at)
        if rules.tiers is not None:
            windows[card.card_id] = (at - timedelta(days=rules.tiers.window_days), at)
        if isinstance(event, AddPoints) and rules.earning and rules.earning.cap_per_day:
            days[card.card_id] = local_today(at, card.time_zone)
    if days:
        counter.earned = await loyalty.lots.earned_on(counter.connection, counter.tenant, days)
    if windows:
        counter.qualifying = await loyalty.lots.qualifying(
            counter.connection, counter.tenant, windows
        )
