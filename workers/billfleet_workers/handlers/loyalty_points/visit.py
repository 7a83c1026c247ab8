"""One card at the counter: what is read when it is locked, and everything that is written after.

The acts in `acting` work between `open_visit` and `close_visit`, inside the handler's transaction.
What has expired by now is booked first, so that nobody spends it. It decides nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import Event, PointsExpired, ProjectTransactions
from billfleet_db import loyalty, outbox
from billfleet_db.loyalty import Card, Lot, LotChange, NewMovement, NewTransaction
from billfleet_workers.handlers.loyalty_points.lots import Book, Move, expire_due
from billfleet_workers.handlers.outbox_rows import outbox_row

EXPIRY_PREFIX = "~expiry:"
"""Begins the ids of our own transactions; no sender's id can begin so."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The message, or the sweep, that the work is done for."""

    tenant: str
    work_id: str
    source: str
    traceparent: str | None = None


@dataclass(slots=True)
class Visit:
    """A locked card, and what has become of it so far."""

    connection: AsyncConnection
    origin: Origin
    card: Card
    now: datetime
    book: Book
    before: dict[str, Lot]
    expired: list[Move]
    earned_on: dict[str, date | None] = field(default_factory=dict)
    """The day of each new lot; None for one that was not earned."""

    async def bring(self, lot_ids: Iterable[str]) -> None:
        """Read lots of the card that have nothing left and are needed all the same."""
        missing = set(lot_ids) - set(self.book.lots)
        if missing:
            found = await loyalty.lots.named_lots(
                self.connection, self.origin.tenant, self.card.card_id, missing
            )
            new = {lot.lot_id: lot for lot in found}
            self.book.lots |= new
            self.before |= new


async def open_visit(
    connection: AsyncConnection, origin: Origin, card: Card, now: datetime
) -> Visit:
    """Read the open lots of a card that is locked, and expire what is due."""
    open_lots = await loyalty.lots.open_lots(connection, origin.tenant, card.card_id)
    before = {lot.lot_id: lot for lot in open_lots}
    book = Book(dict(before), card.debt_points, card.stamps)
    expired = expire_due(book, now)
    return Visit(connection, origin, card, now, book, before, expired)


async def close_visit(
    visit: Visit, transaction: NewTransaction | None, events: Sequence[Event] = ()
) -> None:
    """Write down what happened: transactions, lots, movements, card and events."""
    moves = visit.book.take_moves()
    movements = [
        NewMovement(EXPIRY_PREFIX + str(move.lot_id), move.lot_id, move.kind, move.quantity)
        for move in visit.expired
    ]
    for move in visit.expired:
        await _insert(visit, _expiry(visit, move))
    if transaction is not None:
        await _insert(visit, transaction)
        movements += [
            NewMovement(transaction.transaction_id, move.lot_id, move.kind, move.quantity)
            for move in moves
        ]
    await _write_lots(visit)
    connection, tenant = visit.connection, visit.origin.tenant
    await loyalty.lots.move(connection, tenant, visit.card.card_id, movements, now=visit.now)
    await _write_card(visit)
    facts: list[Event] = [_expired_event(visit, move) for move in visit.expired]
    written = [EXPIRY_PREFIX + str(move.lot_id) for move in visit.expired]
    written += [transaction.transaction_id] if transaction is not None else []
    if written:
        facts.append(ProjectTransactions(transaction_ids=tuple(written)))
    await _announce(visit, [*facts, *events])


async def _insert(visit: Visit, transaction: NewTransaction) -> None:
    await loyalty.transactions.insert(
        visit.connection, visit.origin.tenant, transaction, now=visit.now
    )


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


async def _write_lots(visit: Visit) -> None:
    connection, tenant = visit.connection, visit.origin.tenant
    changes: list[LotChange] = []
    for lot_id, lot in sorted(visit.book.lots.items()):
        before = visit.before.get(lot_id)
        if before is None:
            before = replace(
                lot, remaining=lot.issued, spent=0, expired=0, reversed=0, voided=0, owed=0
            )
            await loyalty.lots.insert(
                connection,
                tenant,
                visit.card.card_id,
                before,
                earned_on=visit.earned_on.get(lot_id),
            )
        if lot != before:
            changes.append(_change(before, lot))
    await loyalty.lots.change(connection, tenant, changes)


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


async def _write_card(visit: Visit) -> None:
    debt_change = visit.book.debt - visit.card.debt_points
    stamps_change = visit.book.stamps - visit.card.stamps
    if debt_change or stamps_change:
        await loyalty.cards.change(
            visit.connection,
            visit.origin.tenant,
            visit.card.card_id,
            debt_change=debt_change,
            stamps_change=stamps_change,
        )


def _expired_event(visit: Visit, move: Move) -> PointsExpired:
    return PointsExpired(
        card_id=visit.card.card_id,
        lot=str(move.lot_id),
        points=move.quantity,
        expired_at=visit.before[str(move.lot_id)].expires_at or visit.now,
    )


async def _announce(visit: Visit, events: Sequence[Event]) -> None:
    origin = visit.origin
    rows = [
        outbox_row(
            event,
            tenant=origin.tenant,
            source=origin.source,
            now=visit.now,
            traceparent=origin.traceparent,
        )
        for event in events
    ]
    await outbox.add(visit.connection, rows)
