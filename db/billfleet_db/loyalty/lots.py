"""Lots of points and the movements between their parts.

Called by the loyalty worker with the card locked, and by the commands that show one. Changes are
sums, never values read earlier, and the table's checks hold each lot together. It decides nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Lot:
    """Points that one transaction issued; `lot_id` is that transaction's id."""

    lot_id: str
    priority: int
    issued: int
    remaining: int
    issued_at: datetime
    available_at: datetime
    expires_at: datetime | None
    spent: int = 0
    expired: int = 0
    reversed: int = 0
    voided: int = 0
    owed: int = 0


@dataclass(frozen=True, slots=True)
class LotChange:
    """What to add to the parts of a lot."""

    lot_id: str
    remaining: int
    spent: int
    expired: int
    reversed: int
    voided: int
    owed: int


@dataclass(frozen=True, slots=True)
class NewMovement:
    """One movement of one transaction."""

    transaction_id: str
    lot_id: str | None
    kind: str
    quantity: int


@dataclass(frozen=True, slots=True)
class SpentLot:
    """What a redemption took from a lot and has not given back; `order` is the order of taking."""

    lot_id: str
    order: int
    points: int


_COLUMNS = ", ".join(field.name for field in fields(Lot))
_OPEN = text(f"""
    SELECT {_COLUMNS} FROM loyalty.lots
    WHERE tenant_id = :tenant_id AND card_id = :card_id AND remaining > 0
""")
_NAMED = text(f"""
    SELECT {_COLUMNS} FROM loyalty.lots
    WHERE tenant_id = :tenant_id AND card_id = :card_id
      AND lot_id = ANY(CAST(:lot_ids AS text[]))
""")
_ALL = text(f"""
    SELECT {_COLUMNS} FROM loyalty.lots WHERE tenant_id = :tenant_id AND card_id = :card_id
    ORDER BY issued_at, lot_id
""")
_INSERT = text("""
    INSERT INTO loyalty.lots (tenant_id, lot_id, card_id, priority, issued, remaining, issued_at,
                              earned_on, available_at, expires_at)
    VALUES (:tenant_id, :lot_id, :card_id, :priority, :issued, :issued, :issued_at, :earned_on,
            :available_at, :expires_at)
""")
_PARTS = ("remaining", "spent", "expired", "reversed", "voided", "owed")
_CHANGE = text(f"""
    UPDATE loyalty.lots AS l SET {", ".join(f"{part} = l.{part} + n.{part}" for part in _PARTS)}
    FROM unnest(CAST(:lot_id AS text[]), {", ".join(f"CAST(:{p} AS bigint[])" for p in _PARTS)})
      AS n(lot_id, {", ".join(_PARTS)})
    WHERE l.tenant_id = :tenant_id AND l.lot_id = n.lot_id
""")
_MOVE = text("""
    INSERT INTO loyalty.movements
      (tenant_id, card_id, transaction_id, lot_id, kind, quantity, moved_at)
    SELECT :tenant_id, :card_id, n.transaction_id, n.lot_id, n.kind, n.quantity, :moved_at
    FROM unnest(CAST(:transaction_ids AS text[]), CAST(:lot_ids AS text[]), CAST(:kinds AS text[]),
                CAST(:quantities AS bigint[]))
      WITH ORDINALITY AS n(transaction_id, lot_id, kind, quantity, position)
    ORDER BY n.position
""")
_EARNED_ON = text("""
    SELECT CAST(coalesce(sum(issued - reversed - voided - owed), 0) AS bigint) FROM loyalty.lots
    WHERE tenant_id = :tenant_id AND card_id = :card_id AND earned_on = :day
""")
_QUALIFYING = text("""
    SELECT CAST(coalesce(sum(issued - reversed - voided - owed), 0) AS bigint) FROM loyalty.lots
    WHERE tenant_id = :tenant_id AND card_id = :card_id
      AND issued_at > :since AND issued_at <= :at AND available_at <= :at
      AND earned_on IS NOT NULL
""")
_SPENT_BY = text("""
    SELECT m.lot_id, m.movement_id AS order,
           CAST(m.quantity - coalesce(sum(r.quantity), 0) AS bigint) AS points
    FROM loyalty.movements m
    LEFT JOIN loyalty.transactions c
      ON c.tenant_id = m.tenant_id AND c.cancels = m.transaction_id
    LEFT JOIN loyalty.movements r
      ON r.tenant_id = m.tenant_id AND r.transaction_id = c.transaction_id
     AND r.lot_id = m.lot_id AND r.kind = 'return'
    WHERE m.tenant_id = :tenant_id AND m.transaction_id = :transaction_id AND m.kind = 'spend'
    GROUP BY m.movement_id, m.lot_id, m.quantity
""")


async def open_lots(connection: AsyncConnection, tenant_id: str, card_id: str) -> list[Lot]:
    """The card's lots that have something left, expired or not."""
    return await _lots(connection, _OPEN, tenant_id, card_id)


async def named_lots(
    connection: AsyncConnection, tenant_id: str, card_id: str, lot_ids: Iterable[str]
) -> list[Lot]:
    """Those of these lots that the card has, empty ones too."""
    return await _lots(connection, _NAMED, tenant_id, card_id, lot_ids=sorted(set(lot_ids)))


async def all_lots(connection: AsyncConnection, tenant_id: str, card_id: str) -> list[Lot]:
    """Every lot that the card ever had, oldest first."""
    return await _lots(connection, _ALL, tenant_id, card_id)


async def insert(
    connection: AsyncConnection, tenant_id: str, card_id: str, lot: Lot, *, earned_on: date | None
) -> None:
    """Create a lot, as yet untouched."""
    values = {
        "tenant_id": tenant_id,
        "card_id": card_id,
        "lot_id": lot.lot_id,
        "priority": lot.priority,
        "issued": lot.issued,
        "issued_at": lot.issued_at,
        "earned_on": earned_on,
        "available_at": lot.available_at,
        "expires_at": lot.expires_at,
    }
    await connection.execute(_INSERT, values)


async def change(connection: AsyncConnection, tenant_id: str, changes: Sequence[LotChange]) -> None:
    """Add to the parts of these lots."""
    if not changes:
        return
    columns = {name: [getattr(one, name) for one in changes] for name in ("lot_id", *_PARTS)}
    await connection.execute(_CHANGE, columns | {"tenant_id": tenant_id})


async def move(
    connection: AsyncConnection,
    tenant_id: str,
    card_id: str,
    movements: Sequence[NewMovement],
    *,
    now: datetime,
) -> None:
    """Write movements down, in order."""
    if not movements:
        return
    values = {
        "tenant_id": tenant_id,
        "card_id": card_id,
        "moved_at": now,
        "transaction_ids": [one.transaction_id for one in movements],
        "lot_ids": [one.lot_id for one in movements],
        "kinds": [one.kind for one in movements],
        "quantities": [one.quantity for one in movements],
    }
    await connection.execute(_MOVE, values)


async def earned_on(connection: AsyncConnection, tenant_id: str, card_id: str, day: date) -> int:
    """What the card has earned on a day of its tenant and was not taken back."""
    values = {"tenant_id": tenant_id, "card_id": card_id, "day": day}
    return int((await connection.execute(_EARNED_ON, values)).scalar_one())


async def qualifying(
    connection: AsyncConnection, tenant_id: str, card_id: str, *, since: datetime, at: datetime
) -> int:
    """What counts towards a tier: earned in the window, not taken back, no longer pending."""
    values = {"tenant_id": tenant_id, "card_id": card_id, "since": since, "at": at}
    return int((await connection.execute(_QUALIFYING, values)).scalar_one())


async def spent_by(
    connection: AsyncConnection, tenant_id: str, transaction_id: str
) -> list[SpentLot]:
    """What a redemption took from each lot, less what its cancellations gave back."""
    values = {"tenant_id": tenant_id, "transaction_id": transaction_id}
    found = (await connection.execute(_SPENT_BY, values)).mappings()
    return [SpentLot(**row) for row in found]


async def _lots(
    connection: AsyncConnection, query: TextClause, tenant_id: str, card_id: str, **more: object
) -> list[Lot]:
    values = {"tenant_id": tenant_id, "card_id": card_id, **more}
    found = await connection.execute(query, values)
    return [Lot(**row) for row in found.mappings()]
