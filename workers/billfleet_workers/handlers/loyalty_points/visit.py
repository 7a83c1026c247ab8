"""One card at the counter: what became of it, and how that gets on the slip.

The acts in `acting` and `undoing` work between `open_visit` and `close_visit`. What has expired by
now is booked first, so that nobody spends it. An act that raises leaves nothing on the slip. It
decides nothing and asks the database nothing.
"""

from collections import Counter as Sums
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from billfleet_contracts import Event, PointsExpired
from billfleet_db.loyalty import (
    Card,
    Lot,
    LotChange,
    NewLot,
    NewMovement,
    NewTransaction,
    RewardKey,
)
from billfleet_workers.handlers.loyalty_points.counter import Counter
from billfleet_workers.handlers.loyalty_points.lots import Book, Move, expire_due
from billfleet_workers.handlers.loyalty_points.slip import FullCards, Origin, Slip

EXPIRY_PREFIX = "~expiry:"
"""Begins the ids of our own transactions; no sender's id can begin so."""


@dataclass(slots=True)
class Visit:
    """A locked card, and what has become of it so far."""

    counter: Counter
    origin: Origin
    card: Card
    book: Book
    before: dict[str, Lot]
    expired: list[Move]
    earned_on: dict[str, date | None] = field(default_factory=dict)
    """The day of each new lot; None for one that was not earned."""
    stocks: Sums[RewardKey] = field(default_factory=Sums)
    used: list[str] = field(default_factory=list)
    voided: list[str] = field(default_factory=list)
    reopened: list[str] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        """The instant of the whole transaction."""
        return self.counter.now


def open_visit(counter: Counter, origin: Origin, card: Card) -> Visit:
    """Open the book of a locked card, and expire what is due."""
    before = dict(counter.lots[card.card_id])
    book = Book(dict(before), card.debt_points, card.stamps)
    expired = expire_due(book, counter.now)
    return Visit(counter, origin, card, book, before, expired)


def close_visit(
    visit: Visit, slip: Slip, transaction: NewTransaction | None, events: Sequence[Event] = ()
) -> None:
    """Put on the slip what happened: transactions, lots, movements, card, vouchers, events."""
    for move in visit.expired:
        expiry = _expiry(visit, move)
        slip.transactions.append(expiry)
        slip.movements.append(_movement(visit, expiry, move))
        slip.events.append((visit.origin, _expired_event(visit, move)))
    moves = visit.book.take_moves()
    if transaction is not None:
        slip.transactions.append(transaction)
        slip.movements += [_movement(visit, transaction, move) for move in moves]
        _put_vouchers(visit, slip, transaction)
    _put_lots(visit, slip)
    changed = (visit.book.debt - visit.card.debt_points, visit.book.stamps - visit.card.stamps)
    if changed != (0, 0):
        slip.cards[visit.card.card_id] = changed
    _put_stocks(visit, slip)
    slip.events += [(visit.origin, event) for event in events]


def _expiry(visit: Visit, move: Move) -> NewTransaction:
    return NewTransaction(
        transaction_id=EXPIRY_PREFIX + str(move.lot_id),
        card_id=visit.card.card_id,
        programme_id=visit.card.programme_id,
        kind="expiry",
        request_hash="",
        work_id=visit.origin.work_id,
        occurred_at=visit.before[str(move.lot_id)].expires_at or visit.now,
        quantity=move.quantity,
    )


def _movement(visit: Visit, transaction: NewTransaction, move: Move) -> NewMovement:
    return NewMovement(
        visit.card.card_id, transaction.transaction_id, move.lot_id, move.kind, move.quantity
    )


def _put_lots(visit: Visit, slip: Slip) -> None:
    for lot_id, lot in sorted(visit.book.lots.items()):
        before = visit.before.get(lot_id)
        if before is None:
            before = replace(
                lot, remaining=lot.issued, spent=0, expired=0, reversed=0, voided=0, owed=0
            )
            new = NewLot(visit.card.card_id, before, visit.earned_on.get(lot_id))
            slip.lots.append(new)
        if lot != before:
            slip.changes.append(_change(before, lot))


def _change(before: Lot, after: Lot) -> LotChange:
    return LotChange(
        lot_id=after.lot_id,
        remaining=after.remaining - before.remaining,
        spent=after.spent - before.spent,
        expired=after.expired - before.expired,
        reversed=after.reversed - before.reversed,
        voided=after.voided - before.voided,
        owed=after.owed - before.owed,
    )


def _put_vouchers(visit: Visit, slip: Slip, transaction: NewTransaction) -> None:
    slip.used += [(voucher_id, transaction.transaction_id) for voucher_id in visit.used]
    slip.voided += visit.voided
    slip.reopened += visit.reopened
    full, size = transaction.basis.get("vouchers"), transaction.basis.get("size")
    if transaction.kind == "stamps" and isinstance(full, int) and isinstance(size, int) and full:
        slip.full.append(FullCards(transaction, full, size))


def _put_stocks(visit: Visit, slip: Slip) -> None:
    """Whoever is served next at this counter finds as much less."""
    for key, change in visit.stocks.items():
        reward = visit.counter.rewards.get(key)
        if reward is not None and reward.stock is not None:
            slip.stocks[key] += change
            visit.counter.rewards[key] = replace(reward, stock=reward.stock + change)


def _expired_event(visit: Visit, move: Move) -> PointsExpired:
    return PointsExpired(
        card_id=visit.card.card_id,
        lot=str(move.lot_id),
        points=move.quantity,
        expired_at=visit.before[str(move.lot_id)].expires_at or visit.now,
    )
