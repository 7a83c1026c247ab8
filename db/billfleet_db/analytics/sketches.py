"""Sketches of buckets: which are stale, what they are made of, and the bytes themselves.

The sketch maker of the analytics worker reads `dirty` and writes `put`; reports read `within`. What
the bytes mean is the caller's business.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db.analytics.buckets import BucketKey


@dataclass(frozen=True, slots=True)
class Material:
    """What a bucket's sketches are made of: each customer once, and every amount, both sorted."""

    key: BucketKey
    customers: Sequence[str]
    amounts_minor: Sequence[int]


@dataclass(frozen=True, slots=True)
class StoredSketches:
    """A bucket's sketches, as bytes."""

    key: BucketKey
    local_day: date
    customers: bytes
    amounts: bytes


_NAMES: Final = tuple(field.name for field in fields(BucketKey))
_KEY: Final = ", ".join(_NAMES)
_TYPES: Final = {"hour_start": "timestamptz", "stored_hour": "timestamptz"}
_GIVEN: Final = f"""
    unnest({", ".join(f"CAST(:{n} AS {_TYPES.get(n, 'text')}[])" for n in _NAMES)}) AS k({_KEY})
"""
_DIRTY = text(f"""
    SELECT {_KEY} FROM analytics.buckets
    WHERE is_dirty AND (tenant_id = :tenant_id OR CAST(:tenant_id AS text) IS NULL)
    ORDER BY {_KEY} LIMIT :limit FOR UPDATE SKIP LOCKED
""")
_MATERIAL = text(f"""
    SELECT {", ".join(f"k.{n}" for n in _NAMES)},
      coalesce(array_agg(DISTINCT e.customer_id ORDER BY e.customer_id)
               FILTER (WHERE e.customer_id IS NOT NULL), '{{}}') AS customers,
      coalesce(array_agg(e.amount_minor ORDER BY e.amount_minor)
               FILTER (WHERE e.amount_minor IS NOT NULL), '{{}}') AS amounts_minor
    FROM {_GIVEN}
    JOIN analytics.events e USING (tenant_id, name, hour_start, brand_id, store_id, currency)
    WHERE e.stored_at >= k.stored_hour AND e.stored_at < k.stored_hour + interval '1 hour'
    GROUP BY {", ".join(f"k.{n}" for n in _NAMES)}
""")
_PUT = text(f"""
    WITH made AS (
      SELECT * FROM unnest(
        {", ".join(f"CAST(:{n} AS {_TYPES.get(n, 'text')}[])" for n in _NAMES)},
        CAST(:customers AS bytea[]), CAST(:amounts AS bytea[])) AS m({_KEY}, customers, amounts)
    ), cleaned AS (
      UPDATE analytics.buckets AS b SET is_dirty = false FROM made AS m
      WHERE {" AND ".join(f"b.{n} = m.{n}" for n in _NAMES)}
    )
    INSERT INTO analytics.sketches ({_KEY}, customers, amounts, computed_at)
    SELECT {_KEY}, customers, amounts, CAST(:now AS timestamptz) FROM made
    ON CONFLICT ON CONSTRAINT pk_sketches DO UPDATE SET
      customers = excluded.customers, amounts = excluded.amounts,
      computed_at = excluded.computed_at
""")
_WITHIN = text(f"""
    SELECT {", ".join(f"s.{n}" for n in _NAMES)}, b.local_day, s.customers, s.amounts
    FROM analytics.sketches s JOIN analytics.buckets b USING ({_KEY})
    WHERE s.tenant_id = :tenant_id AND s.name = :name AND s.stored_hour < :as_of_hour
      AND b.local_day BETWEEN :first_day AND :last_day
    ORDER BY {", ".join(f"s.{n}" for n in _NAMES)}
""")
_TAIL = text("""
    SELECT local_day, brand_id, store_id, currency, customer_id, amount_minor
    FROM analytics.events
    WHERE tenant_id = :tenant_id AND name = :name
      AND local_day BETWEEN :first_day AND :last_day
      AND stored_at >= :as_of_hour AND stored_at < :as_of
    ORDER BY source, event_id
""")


@dataclass(frozen=True, slots=True)
class TailEvent:
    """An event of the hour that `as_of` cuts, which no sketch may stand for."""

    local_day: date
    brand_id: str
    store_id: str
    currency: str
    customer_id: str | None
    amount_minor: int | None


async def dirty(
    connection: AsyncConnection, *, tenant_id: str | None, limit: int
) -> list[BucketKey]:
    """Buckets whose sketches are stale, held until this transaction ends."""
    rows = await connection.execute(_DIRTY, {"tenant_id": tenant_id, "limit": limit})
    return [BucketKey(*row) for row in rows]


async def material_of(connection: AsyncConnection, keys: Sequence[BucketKey]) -> list[Material]:
    """What these buckets' sketches are made of."""
    rows = await connection.execute(_MATERIAL, _columns(keys))
    width = len(_NAMES)
    return [Material(BucketKey(*row[:width]), row.customers, row.amounts_minor) for row in rows]


async def put(
    connection: AsyncConnection,
    made: Sequence[tuple[BucketKey, bytes, bytes]],
    *,
    now: datetime,
) -> None:
    """Keep sketches of customers and amounts; their buckets are no longer dirty."""
    if not made:
        return
    values = _columns([key for key, _, _ in made])
    values |= {"customers": [one for _, one, _ in made], "amounts": [one for _, _, one in made]}
    await connection.execute(_PUT, {**values, "now": now})


async def within(
    connection: AsyncConnection,
    tenant_id: str,
    name: str,
    *,
    first_day: date,
    last_day: date,
    as_of: datetime,
) -> tuple[list[StoredSketches], list[TailEvent]]:
    """The sketches of the days as of then, and the events of the hour that `as_of` cuts."""
    values = {
        "tenant_id": tenant_id,
        "name": name,
        "first_day": first_day,
        "last_day": last_day,
        "as_of": as_of,
        "as_of_hour": as_of.replace(minute=0, second=0, microsecond=0),
    }
    width = len(_NAMES)
    stored = await connection.execute(
        _WITHIN, {name: value for name, value in values.items() if name != "as_of"}
    )
    sketches = [StoredSketches(BucketKey(*row[:width]), *row[width:]) for row in stored]
    tail = await connection.execute(_TAIL, values)
    return sketches, [TailEvent(*row) for row in tail]


def _columns(keys: Sequence[BucketKey]) -> dict[str, object]:
    return {name: [getattr(key, name) for key in keys] for name in _NAMES}
