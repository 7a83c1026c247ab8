"""The books of analytics: how each tenant counts, and up to when the past is closed.

Intake asks `open_for_storing` before it stores, reports call `close` before they read. Both meet
in one advisory lock, so when a report reads, whatever was stored before its instant is committed,
and nothing is ever stored before it again (R74). It knows no event.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

# Any number that nothing else in the database locks; this one spells "book".
_BOOKS_LOCK: Final = 0x626F6F6B


@dataclass(frozen=True, slots=True)
class Counting:
    """How a tenant's events are counted; an empty policy means that of the house."""

    tenant_id: str
    time_zone: str
    policy: Mapping[str, object]


_SHARE = text("SELECT pg_advisory_xact_lock_shared(:key)")
_LOCK = text("SELECT pg_advisory_xact_lock(:key)")
_CLOSED_UNTIL = text(
    "SELECT greatest(closed_until, CAST(:now AS timestamptz)) FROM analytics.books"
)
_CLOSE = text("""
    UPDATE analytics.books SET closed_until = least(:as_of, clock_timestamp())
    WHERE closed_until < least(:as_of, clock_timestamp())
""")
_COLUMNS = "tenant_id, time_zone, CAST(policy AS text) AS policy"
_GET = text(f"""
    SELECT {_COLUMNS} FROM analytics.tenants WHERE tenant_id = ANY(CAST(:tenant_ids AS text[]))
""")
_ADD = text("""
    INSERT INTO analytics.tenants (tenant_id, time_zone)
    SELECT tenant_id, time_zone FROM business.tenants
    WHERE tenant_id = ANY(CAST(:tenant_ids AS text[])) ORDER BY tenant_id
    ON CONFLICT DO NOTHING
""")
_ALL = text(f"SELECT {_COLUMNS} FROM analytics.tenants ORDER BY tenant_id")
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
    connection: AsyncConnection, tenant_ids: Collection[str]
) -> dict[str, Counting]:
    """How these tenants count. One that never did begins now, in its own zone.

    A tenant that does not exist is not in the answer.
    """
    found = await _get(connection, tenant_ids)
    missing = sorted(set(tenant_ids) - set(found))
    if missing:
        await connection.execute(_ADD, {"tenant_ids": missing})
        found |= await _get(connection, missing)
    return found


async def all_counting(connection: AsyncConnection) -> list[Counting]:
    """Every tenant that this session may see and that has counted anything."""
    return [_counting(row) for row in await connection.execute(_ALL)]


async def set_policy(
    connection: AsyncConnection, tenant_id: str, policy: Mapping[str, object]
) -> None:
    """Replace the tenant's policy of admission; it must have counted before."""
    values = {"tenant_id": tenant_id, "policy": json.dumps(dict(policy))}
    await connection.execute(_SET_POLICY, values)


async def _get(connection: AsyncConnection, tenant_ids: Collection[str]) -> dict[str, Counting]:
    rows = await connection.execute(_GET, {"tenant_ids": list(tenant_ids)})
    return {row.tenant_id: _counting(row) for row in rows}


def _counting(row: Row[tuple[object, ...]]) -> Counting:
    return Counting(row.tenant_id, row.time_zone, json.loads(row.policy))
