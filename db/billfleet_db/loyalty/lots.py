"""Lots of points and the movements between their parts.

Called by the loyalty worker with the card locked, and by the commands that show one. Changes are
sums, never values read earlier, and the table's checks hold each lot together. It decides nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime

from sqlalchemy import text
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
class NewLot:
    """A lot to write down, with nothing spent of it yet.

    `earned_on` is the tenant's day that a daily cap counts it on; None where it was not earned.
    """

    card_id: str
    lot: Lot
    earned_on: date | None


@dataclass(frozen=True, slots=True)
class NewMovement:
    """One movement of one transaction."""

    card_id: str
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
    SELECT card_id, {_COLUMNS} FROM loyalty.lots
    WHERE tenant_id = :tenant_id AND card_id = ANY(CAST(:card_ids AS text[])) AND remaining > 0
""")
_NAMED = text(f"""
    SELECT card_id, {_COLUMNS} FROM loyalty.lots
    WHERE tenant_id = :tenant_id AND lot_id = ANY(CAST(:lot_ids AS text[]))
""")
_ALL = text(f"""
    SELECT {_COLUMNS} FROM loyalty.lots WHERE tenant_id = :tenant_id AND card_id = :card_id
    ORDER BY issued_at, lot_id
""")
_INSERT = text("""
    INSERT INTO loyalty.lots (tenant_id, lot_id, card_id, priority, issued, remaining, issued_at,
                              earned_on, available_at, expires_at)
    SELECT :tenant_id, n.lot_id, n.card_id, n.priority, n.issued, n.issued, n.issued_at,
           n.earned_on, n.available_at, n.expires_at
    FROM unnest(CAST(:lot_id AS text[]), CAST(:card_id AS text[]), CAST(:priority AS integer[]),
                CAST(:issued AS bigint[]), CAST(:issued_at AS timestamptz[]),
                CAST(:earned_on AS date[]), CAST(:available_at AS timestamptz[]),
                CAST(:expires_at AS timestamptz[]))
      AS n(lot_id, card_id, priority, issued, issued_at, earned_on, available_at, expires_at)
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
    SELECT :tenant_id, n.card_id, n.transaction_id, n.lot_id, n.kind, n.quantity, :moved_at
    FROM unnest(CAST(:card_ids AS text[]), CAST(:transaction_ids AS text[]),
                CAST(:lot_ids AS text[]), CAST(:kinds AS text[]), CAST(:quantities AS bigint[]))
      WITH ORDINALITY AS n(card_id, transaction_id, lot_id, kind, quantity, position)
    ORDER BY n.position
""")
_EARNED_ON = text("""
    SELECT l.card_id, CAST(sum(l.issued - l.reversed - l.voided - l.owed) AS bigint)
    FROM loyalty.lots l
    JOIN unnest(CAST(:card_ids AS text[]), CAST(:days AS date[])) AS n(card_id, day)
      ON l.card_id = n.card_id AND l.earned_on = n.day
    WHERE l.tenant_id = :tenant_id GROUP BY l.card_id
""")
_QUALIFYING = text("""
    SELECT l.card_id, CAST(sum(l.issued - l.reversed - l.voided - l.owed) AS bigint)
    FROM loyalty.lots l
    JOIN unnest(CAST(:card_ids AS text[]), CAST(:sinces AS timestamptz[]),
                CAST(:ats AS timestamptz[])) AS n(card_id, since, at)
      ON l.card_id = n.card_id AND l.issued_at > n.since AND l.issued_at <= n.at
     AND l.available_at <= n.at
    WHERE l.tenant_id = :tenant_id AND l.earned_on IS NOT NULL GROUP BY l.card_id
""")
_SPENT_BY = text("""
    SELECT m.transaction_id, m.lot_id, m.movement_id AS order,
           CAST(m.quantity - coalesce(sum(r.quantity), 0) AS bigint) AS points
    FROM loyalty.movements m
    LEFT JOIN loyalty.transactions c
      ON c.tenant_id = m.tenant_id AND c.cancels = m.transaction_id
    LEFT JOIN loyalty.movements r
      ON r.tenant_id = m.tenant_id AND r.transaction_id = c.transaction_id
     AND r.lot_id = m.lot_id AND r.kind = 'return'
    WHERE m.tenant_id = :tenant_id AND m.kind = 'spend'
      AND m.transaction_id = ANY(CAST(:transaction_ids AS text[]))
    GROUP BY m.transaction_id, m.movement_id, m.lot_id, m.quantity
""")


# Points that came back to a lot after its end, and were given anew in the lot of that cancellation.
_GIVEN_ANEW = text("""
    SELECT e.lot_id, e.transaction_id, e.quantity
    FROM loyalty.movements e
    JOIN loyalty.lots g ON g.tenant_id = e.tenant_id AND g.lot_id = e.transaction_id
    WHERE e.tenant_id = :tenant_id AND e.lot_id = ANY(CAST(:lot_ids AS text[]))
      AND e.kind = 'expire'
    ORDER BY e.movement_id
""")


async def open_lots(
    connection: AsyncConnection, tenant_id: str, card_ids: Iterable[str]
) -> list[tuple[str, Lot]]:
    """The lots of these cards that have something left, expired or not, each with its card."""
    values = {"tenant_id": tenant_id, "card_ids": sorted(set(card_ids))}
    return [(row[0], Lot(*row[1:])) for row in await connection.execute(_OPEN, values)]


async def named_lots(
    connection: AsyncConnection, tenant_id: str, lot_ids: Iterable[str]
) -> list[tuple[str, Lot]]:
    """Those of these lots that the tenant has, empty ones too, each with its card."""
    values = {"tenant_id": tenant_id, "lot_ids": sorted(set(lot_ids))}
    return [(row[0], Lot(*row[1:])) for row in await connection.execute(_NAMED, values)]


async def all_lots(connection: AsyncConnection, tenant_id: str, card_id: str) -> list[Lot]:
    """Every lot of the card, oldest first."""
    values = {"tenant_id": tenant_id, "card_id": card_id}
    return [Lot(*row) for row in await connection.execute(_ALL, values)]


async def insert(connection: AsyncConnection, tenant_id: str, new: Sequence[NewLot]) -> None:
    """Create lots with nothing spent yet; their transactions must be written down already."""
    if not new:
        return
    names = ("lot_id", "priority", "issued", "issued_at", "available_at", "expires_at")
    values: dict[str, object] = {name: [getattr(one.lot, name) for one in new] for name in names}
    values |= {
        "tenant_id": tenant_id,
        "card_id": [one.card_id for one in new],
        "earned_on": [one.earned_on for one in new],
    }
    await connection.execute(_INSERT, values)


async def change(connection: AsyncConnection, tenant_id: str, changes: Sequence[LotChange]) -> None:
    """Add to the parts of these lots."""
    if not changes:
        return
    columns = {name: [getattr(one, name) for one in changes] for name in ("lot_id", *_PARTS)}
    await connection.execute(_CHANGE, columns | {"tenant_id": tenant_id})


async def move(
    connection: AsyncConnection, tenant_id: str, movements: Sequence[NewMovement], *, now: datetime
) -> None:
    """Write movements down, in order."""
    if not movements:
        return
    values = {
        "tenant_id": tenant_id,
        "moved_at": now,
        "card_ids": [one.card_id for one in movements],
        "transaction_ids": [one.transaction_id for one in movements],
        "lot_ids": [one.lot_id for one in movements],
        "kinds": [one.kind for one in movements],
        "quantities": [one.quantity for one in movements],
    }
    await connection.execute(_MOVE, values)


async def earned_on(
    connection: AsyncConnection, tenant_id: str, days: Mapping[str, date]
) -> dict[str, int]:
    """What each card has earned on its day and was not taken back; nothing of those left out."""
    cards = sorted(days)
    values = {
        "tenant_id": tenant_id,
        "card_ids": cards,
        "days": [days[card_id] for card_id in cards],
    }
    return {row[0]: row[1] for row in await connection.execute(_EARNED_ON, values)}


async def qualifying(
    connection: AsyncConnection, tenant_id: str, windows: Mapping[str, tuple[datetime, datetime]]
) -> dict[str, int]:
    """What counts towards each card's tier: earned after the first instant of its window and up to
    the second, not taken back, no longer pending.
    """
    cards = sorted(windows)
    values = {
        "tenant_id": tenant_id,
        "card_ids": cards,
        "sinces": [windows[card_id][0] for card_id in cards],
        "ats": [windows[card_id][1] for card_id in cards],
    }
    return {row[0]: row[1] for row in await connection.execute(_QUALIFYING, values)}


async def spent_by(
    connection: AsyncConnection, tenant_id: str, transaction_ids: Iterable[str]
) -> list[tuple[str, SpentLot]]:
    """What redemptions took from each lot, less what cancellations gave back; with their ids."""
    values = {"tenant_id": tenant_id, "transaction_ids": sorted(set(transaction_ids))}
    return [(row[0], SpentLot(*row[1:])) for row in await connection.execute(_SPENT_BY, values)]


async def given_anew(
    connection: AsyncConnection, tenant_id: str, lot_ids: Iterable[str]
) -> list[tuple[str, str, int]]:
    """Of these lots: in which other lot points of theirs that had expired live on, and how many."""
    values = {"tenant_id": tenant_id, "lot_ids": sorted(set(lot_ids))}
    return [(row[0], row[1], row[2]) for row in await connection.execute(_GIVEN_ANEW, values)]
