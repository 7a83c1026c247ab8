"""The books of analytics: how each tenant counts, and up to when the past is closed.

Intake asks `open_for_storing` before it stores, reports call `close` before they read. Both meet
in one advisory lock, so when a report reads, whatever was stored before its instant is committed,
and nothing is ever stored before it again (R74). It knows no event.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Any number that nothing else in the database locks; this one spells "book".
_BOOKS_LOCK: Final = 0x626F6F6B


@dataclass(frozen=True, slots=True)
class Counting:
    """How a tenant's events are counted; an empty policy means that of the house.

    `own_zone` is the tenant's of today; where it is not `time_zone`, it moved and counts by its new
    clock from its next event on.
    """

    tenant_id: str
    time_zone: str
    policy: Mapping[str, object]
    own_zone: str


_SHARE = text("SELECT pg_advisory_xact_lock_shared(:key)")
_LOCK = text("SELECT pg_advisory_xact_lock(:key)")
_CLOSED_UNTIL = text(
    "SELECT greatest(closed_until, CAST(:now AS timestamptz)) FROM analytics.books"
)
_CLOSE = text("""
    UPDATE analytics.books SET closed_until = least(:as_of, clock_timestamp())
    WHERE closed_until < least(:as_of, clock_timestamp())
""")
_COUNTING = """
    SELECT t.tenant_id, coalesce(z.time_zone, t.time_zone) AS time_zone,
           CAST(t.policy AS text) AS policy, b.time_zone AS own_zone
    FROM analytics.tenants t JOIN business.tenants b USING (tenant_id)
    LEFT JOIN LATERAL (
      SELECT time_zone FROM analytics.zones
      WHERE tenant_id = t.tenant_id
        AND (since <= :at OR CAST(:at AS timestamptz) IS NULL)
      ORDER BY since DESC LIMIT 1
    ) z ON true
"""
_GET = text(f"{_COUNTING} WHERE t.tenant_id = ANY(CAST(:tenant_ids AS text[]))")
_MOVE = text("""
    INSERT INTO analytics.zones (tenant_id, since, time_zone)
    VALUES (:tenant_id, :since, :time_zone) ON CONFLICT DO NOTHING
""")
_ADD = text("""
    INSERT INTO analytics.tenants (tenant_id, time_zone)
    SELECT tenant_id, time_zone FROM business.tenants
    WHERE tenant_id = ANY(CAST(:tenant_ids AS text[])) ORDER BY tenant_id
    ON CONFLICT DO NOTHING
""")
_SET_POLICY = text("""
    UPDATE analytics.tenants SET policy = CAST(:policy AS jsonb) WHERE tenant_id = :tenant_id
""")


async def open_for_storing(connection: AsyncConnection, now: datetime) -> datetime:
    """The instant at which this transaction stores: now, or later where the books say so.

    No report closes the books until this transaction has ended.
    """
    await connection.execute(_SHARE, {"key": _BOOKS_LOCK})
    found: datetime = (await connection.execute(_CLOSED_UNTIL, {"now": now})).scalar_one()
    return found


async def hold(connection: AsyncConnection) -> None:
    """Until this transaction ends nobody stores anything; waits for whoever does now."""
    await connection.execute(_LOCK, {"key": _BOOKS_LOCK})


async def close(connection: AsyncConnection, as_of: datetime) -> None:
    """From the end of this transaction on, nothing is stored before `as_of`.

    Whose clock is ahead closes until the database's own present and no further. It waits for
    whoever is storing now. End the transaction soon: intake waits for it.
    """
    await hold(connection)
    await connection.execute(_CLOSE, {"as_of": as_of})


async def counting_of(
    connection: AsyncConnection, tenant_ids: Collection[str], *, at: datetime | None = None
) -> dict[str, Counting]:
    """How these tenants count, by the zone that held `at` an instant; the latest without it.

    One that never counted begins now, in its own zone. A tenant that does not exist is not in the
    answer.
    """
    found = await _get(connection, tenant_ids, at)
    missing = sorted(set(tenant_ids) - set(found))
    if missing:
        await connection.execute(_ADD, {"tenant_ids": missing})
        found |= await _get(connection, missing, at)
    return found


async def counting_from(
    connection: AsyncConnection, tenant_ids: Collection[str], stored_at: datetime
) -> dict[str, Counting]:
    """How these tenants count what is stored now; one that has moved, by its new clock.

    `stored_at` is what `open_for_storing` gave, so no report of before sees the new zone.
    """
    found = await counting_of(connection, tenant_ids)
    for one in sorted(found.values(), key=lambda each: each.tenant_id):
        if one.own_zone != one.time_zone:
            moved = {"tenant_id": one.tenant_id, "since": stored_at, "time_zone": one.own_zone}
            await connection.execute(_MOVE, moved)
            found[one.tenant_id] = replace(one, time_zone=one.own_zone)
    return found


async def set_policy(
    connection: AsyncConnection, tenant_id: str, policy: Mapping[str, object]
) -> None:
    """Replace the tenant's policy of admission; it must have counted before."""
    values = {"tenant_id": tenant_id, "policy": json.dumps(dict(policy))}
    await connection.execute(_SET_POLICY, values)


async def _get(
    connection: AsyncConnection, tenant_ids: Collection[str], at: datetime | None
) -> dict[str, Counting]:
    rows = await connection.execute(_GET, {"tenant_ids": list(tenant_ids), "at": at})
    return {
        row.tenant_id: Counting(row.tenant_id, row.time_zone, json.loads(row.policy), row.own_zone)
        for row in rows
    }
