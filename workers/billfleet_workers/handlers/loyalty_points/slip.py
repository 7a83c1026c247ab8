"""The slip: what a transaction will write of all the cards that it serves, table by table.

`visit.close_visit` puts a card's changes on it; when every card has been served, `flush` writes
each table once. It decides nothing.
"""

from collections import Counter as Sums
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import Event, ProjectTransactions
from billfleet_db import loyalty, outbox
from billfleet_db.loyalty import LotChange, NewLot, NewMovement, NewTransaction, RewardKey
from billfleet_workers.handlers.outbox_rows import outbox_row

PROJECTED_MAX = 500


@dataclass(frozen=True, slots=True)
class Origin:
    """The message, or the sweep, that the work is done for."""

    tenant: str
    work_id: str
    source: str
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class FullCards:
    """So many stamp cards that one transaction filled, each of which becomes a voucher."""

    transaction: NewTransaction
    count: int
    size: int


@dataclass(slots=True)
class Slip:
    """Rows to come, in the order in which they came up."""

    tenant: str
    source: str
    now: datetime
    transactions: list[NewTransaction] = field(default_factory=list)
    lots: list[NewLot] = field(default_factory=list)
    changes: list[LotChange] = field(default_factory=list)
    movements: list[NewMovement] = field(default_factory=list)
    cards: dict[str, tuple[int, int]] = field(default_factory=dict)
    stocks: Sums[RewardKey] = field(default_factory=Sums)
    full: list[FullCards] = field(default_factory=list)
    used: list[tuple[str, str]] = field(default_factory=list)
    """Vouchers, and the redemptions that use them."""
    voided: list[str] = field(default_factory=list)
    reopened: list[str] = field(default_factory=list)
    """Redemptions whose vouchers are good again."""
    events: list[tuple[Origin, Event]] = field(default_factory=list)


async def flush(connection: AsyncConnection, slip: Slip) -> None:
    """Write it all: what others point at first, the outbox last."""
    tenant, now = slip.tenant, slip.now
    await loyalty.transactions.insert(connection, tenant, slip.transactions, now=now)
    await loyalty.lots.insert(connection, tenant, slip.lots)
    await loyalty.lots.change(connection, tenant, slip.changes)
    await loyalty.lots.move(connection, tenant, slip.movements, now=now)
    await loyalty.cards.change(connection, tenant, slip.cards)
    await loyalty.programmes.change_stocks(connection, tenant, slip.stocks)
    await _write_vouchers(connection, slip)
    await outbox.add(connection, [_row(slip, origin, event) for origin, event in _leaving(slip)])


async def _write_vouchers(connection: AsyncConnection, slip: Slip) -> None:
    """They point at transactions, and few transactions touch any."""
    for redemption in slip.reopened:
        await loyalty.programmes.reopen_voucher(connection, slip.tenant, used_by=redemption)
    if slip.voided:
        await loyalty.programmes.void_vouchers(connection, slip.tenant, slip.voided)
    for voucher_id, redemption in slip.used:
        await loyalty.programmes.use_voucher(
            connection, slip.tenant, voucher_id, used_by=redemption
        )
    for one in slip.full:
        filled_by = one.transaction.transaction_id
        await loyalty.programmes.add_vouchers(
            connection,
            slip.tenant,
            one.transaction.card_id,
            voucher_ids=[f"{filled_by}/{number}" for number in range(1, one.count + 1)],
            reward_id=one.transaction.reward_id or "",
            issued_by=filled_by,
            stamps=one.size,
            now=slip.now,
        )


def _leaving(slip: Slip) -> list[tuple[Origin, Event]]:
    """The facts, and what brings the transactions into the view of front ends (R69)."""
    ids = [one.transaction_id for one in slip.transactions]
    origin = Origin(slip.tenant, "", slip.source)
    requests = [
        (origin, ProjectTransactions(transaction_ids=tuple(ids[n : n + PROJECTED_MAX])))
        for n in range(0, len(ids), PROJECTED_MAX)
    ]
    return [*slip.events, *requests]


def _row(slip: Slip, origin: Origin, event: Event) -> outbox.NewOutboxRow:
    return outbox_row(
        event,
        tenant=slip.tenant,
        source=origin.source,
        now=slip.now,
        traceparent=origin.traceparent,
    )
