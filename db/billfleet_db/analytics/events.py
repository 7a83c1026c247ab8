"""Events on their way in: stored once, and counted in the very statement that stores them.

The analytics handler calls `store` with a batch. What was there before is told apart by the hash
of its content: the same is a duplicate, another goes to quarantine with both versions (R71, R72).
It knows neither policies nor time zones: hours and days come with the event.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

EventKey = tuple[str, str, str]
"""Tenant, source, and the id that the source gave."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to store. `hour_start` and `local_day` are those of the tenant's wall clock.

    A `brand_id` of '' is filled in on storing: the one that the store has then.
    """

    tenant_id: str
    source: str
    event_id: str
    payload_hash: str
    name: str
    occurred_at: datetime
    hour_start: datetime
    local_day: date
    brand_id: str
    store_id: str
    customer_id: str | None
    amount_minor: int | None
    currency: str
    properties: str

    @property
    def key(self) -> EventKey:
        """What makes another one the same event."""
        return (self.tenant_id, self.source, self.event_id)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """An event that is not counted. `refused` and `kept` are JSON texts."""

    tenant_id: str
    source: str
    event_id: str
    payload_hash: str
    reason: str
    refused: str
    kept: str | None
    refused_at: datetime


_TYPES: Final[Mapping[str, str]] = {
    "occurred_at": "timestamptz",
    "hour_start": "timestamptz",
    "local_day": "date",
    "amount_minor": "bigint",
    "properties": "jsonb",
}
_COLUMNS: Final = tuple(field.name for field in fields(NewEvent))
_GIVEN: Final = ", ".join(f"CAST(:{name} AS {_TYPES.get(name, 'text')}[])" for name in _COLUMNS)
_BUCKET: Final = "tenant_id, name, hour_start, brand_id, store_id, currency"
# What an event says of its brand stands. Where it says nothing, its store's brand of this moment is
# kept with it, so that a recount gives the same when the store has another one later.
_STORES_BRAND: Final = "coalesce(nullif(g.brand_id, ''), s.brand_id, '') AS brand_id"
_BRANDED: Final = ", ".join(
    _STORES_BRAND if name == "brand_id" else f"g.{name}" for name in _COLUMNS
)
# Rows and buckets are written in the order of their keys, so that two batches never wait for each
# other in a circle (R44).
_STORE = text(f"""
    WITH given AS (
      SELECT {_BRANDED} FROM unnest({_GIVEN}) AS g({", ".join(_COLUMNS)})
      LEFT JOIN business.stores s ON s.tenant_id = g.tenant_id AND s.store_id = g.store_id
    ), kept AS (
      INSERT INTO analytics.events ({", ".join(_COLUMNS)}, stored_at)
      SELECT {", ".join(_COLUMNS)}, CAST(:stored_at AS timestamptz) FROM given
      ORDER BY tenant_id, source, event_id
      ON CONFLICT (tenant_id, source, event_id) DO NOTHING
      RETURNING {_BUCKET}, source, event_id, local_day, amount_minor
    ), counted AS (
      INSERT INTO analytics.buckets AS b
        ({_BUCKET}, stored_hour, local_day, events, amount_minor)
      SELECT {_BUCKET}, CAST(:stored_hour AS timestamptz), local_day, count(*),
             coalesce(sum(amount_minor), 0)
      FROM kept GROUP BY {_BUCKET}, local_day ORDER BY {_BUCKET}
      ON CONFLICT ON CONSTRAINT pk_buckets DO UPDATE SET
        events = b.events + excluded.events,
        amount_minor = b.amount_minor + excluded.amount_minor,
        is_dirty = true
    )
    SELECT tenant_id, source, event_id FROM kept
""")
_KNOWN = text("""
    SELECT e.tenant_id, e.source, e.event_id, e.payload_hash,
           CAST(to_jsonb(e) - 'xact' - 'event_no' AS text) AS kept
    FROM analytics.events e
    JOIN unnest(CAST(:tenant_ids AS text[]), CAST(:sources AS text[]), CAST(:event_ids AS text[]))
      AS k(tenant_id, source, event_id) USING (tenant_id, source, event_id)
""")
_QUARANTINE = text("""
    INSERT INTO analytics.quarantine
      (tenant_id, source, event_id, payload_hash, reason, refused, kept, refused_at)
    VALUES (:tenant_id, :source, :event_id, :payload_hash, :reason, CAST(:refused AS jsonb),
            CAST(:kept AS jsonb), :refused_at)
    ON CONFLICT DO NOTHING
""")
_REFUSED = text("""
    SELECT tenant_id, source, event_id, payload_hash, reason, CAST(refused AS text) AS refused,
           CAST(kept AS text) AS kept, refused_at
    FROM analytics.quarantine
    WHERE (tenant_id = :tenant_id OR CAST(:tenant_id AS text) IS NULL)
    ORDER BY refused_at DESC, tenant_id, source, event_id, payload_hash LIMIT :limit
""")
_CUSTOMERS = text("""
    SELECT g.tenant_id, g.kind, g.subject, coalesce(a.customer_id, c.customer_id) AS customer_id
    FROM unnest(CAST(:tenant_ids AS text[]), CAST(:kinds AS text[]), CAST(:subjects AS text[]))
      AS g(tenant_id, kind, subject)
    LEFT JOIN billing.accounts a ON g.kind = 'account' AND a.tenant_id = g.tenant_id
      AND a.account_id = g.subject
    LEFT JOIN loyalty.cards c ON g.kind = 'card' AND c.tenant_id = g.tenant_id
      AND c.card_id = g.subject
""")


async def store(
    connection: AsyncConnection, events: Sequence[NewEvent], stored_at: datetime
) -> set[EventKey]:
    """Store and count those that are new; returns their keys. No key may be given twice."""
    if not events:
        return set()
    columns = {name: [getattr(one, name) for one in events] for name in _COLUMNS}
    hour = stored_at.replace(minute=0, second=0, microsecond=0)
    values = {**columns, "stored_at": stored_at, "stored_hour": hour}
    return {(row[0], row[1], row[2]) for row in await connection.execute(_STORE, values)}


async def known(
    connection: AsyncConnection, keys: Sequence[EventKey]
) -> dict[EventKey, tuple[str, str]]:
    """Those that are stored: the hash of their content, and the row as JSON."""
    if not keys:
        return {}
    tenants, sources, ids = zip(*keys, strict=True)
    values = {"tenant_ids": list(tenants), "sources": list(sources), "event_ids": list(ids)}
    return {
        (row[0], row[1], row[2]): (row[3], row[4])
        for row in await connection.execute(_KNOWN, values)
    }


async def quarantine(connection: AsyncConnection, refused: Sequence[Quarantined]) -> None:
    """Keep events aside; one that lies there already stays as it is."""
    names = [field.name for field in fields(Quarantined)]
    for one in sorted(refused, key=lambda each: (each.tenant_id, each.source, each.event_id)):
        await connection.execute(_QUARANTINE, {name: getattr(one, name) for name in names})


async def quarantined(
    connection: AsyncConnection, tenant_id: str | None, limit: int
) -> list[Quarantined]:
    """What was kept aside, newest first."""
    rows = await connection.execute(_REFUSED, {"tenant_id": tenant_id, "limit": limit})
    return [Quarantined(**row) for row in rows.mappings()]


async def customers_of(
    connection: AsyncConnection, subjects: Sequence[tuple[str, str, str]]
) -> dict[tuple[str, str, str], str]:
    """Whose an account or a card is: of (tenant, 'account' or 'card', id), those that exist."""
    if not subjects:
        return {}
    tenants, kinds, ids = zip(*subjects, strict=True)
    values = {"tenant_ids": list(tenants), "kinds": list(kinds), "subjects": list(ids)}
    rows = await connection.execute(_CUSTOMERS, values)
    return {(row[0], row[1], row[2]): row[3] for row in rows if row[3] is not None}


def as_json(event: NewEvent) -> str:
    """The event as it is kept in quarantine."""
    shown = {name: getattr(event, name) for name in _COLUMNS if name != "properties"}
    shown["properties"] = json.loads(event.properties)
    return json.dumps(shown, default=str)
