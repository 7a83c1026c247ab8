"""The manifest of raw events in the object store, and how far the export has come.

The exporter and the compactor call it. The live files of the manifest hold every exported event
once. A compaction replaces files in one statement that either replaces all of them or none, so of
two compactors at once one wins and the other changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class RawFile:
    """One Parquet file of a tenant's day (UTC)."""

    file_id: UUID
    tenant_id: str
    day: date
    object_key: str
    rows: int
    bytes_count: int
    sha256: str


@dataclass(frozen=True, slots=True)
class RawEvent:
    """An event as it goes to the object store: all that a recount needs."""

    event_no: int
    xact: str
    tenant_id: str
    source: str
    event_id: str
    payload_hash: str
    name: str
    occurred_at: datetime
    stored_at: datetime
    hour_start: datetime
    local_day: date
    brand_id: str
    store_id: str
    customer_id: str | None
    amount_minor: int | None
    currency: str
    properties: str


_FILE: Final = "file_id, tenant_id, day, object_key, rows, bytes_count, sha256"
_MARKED = text("SELECT CAST(xact AS text) AS xact, event_no FROM analytics.export_mark")
_HOLD = text(f"{_MARKED.text} FOR UPDATE SKIP LOCKED")
# Ordered by the column and not by its text of the same name: as text, 1000 comes before 999.
_NEXT = text("""
    SELECT event_no, CAST(xact AS text) AS xact, tenant_id, source, event_id, payload_hash, name,
           occurred_at, stored_at, hour_start, local_day, brand_id, store_id, customer_id,
           amount_minor, currency, CAST(properties AS text) AS properties
    FROM analytics.events AS e
    WHERE (e.xact, e.event_no) > (CAST(CAST(:xact AS text) AS xid8), :event_no)
      AND e.xact < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY e.xact, e.event_no LIMIT :limit
""")
_MARK = text("""
    UPDATE analytics.export_mark
    SET xact = CAST(CAST(:xact AS text) AS xid8), event_no = :event_no
""")
_ADD = text(f"""
    INSERT INTO analytics.raw_files ({_FILE}, created_at)
    VALUES (:file_id, :tenant_id, :day, :object_key, :rows, :bytes_count, :sha256, :now)
""")
_LIVE = text(f"""
    SELECT {_FILE} FROM analytics.raw_files
    WHERE state = 'live' AND (tenant_id = :tenant_id OR CAST(:tenant_id AS text) IS NULL)
      AND (day = :day OR CAST(:day AS date) IS NULL)
    ORDER BY tenant_id, day, object_key
""")
_CROWDED = text("""
    SELECT tenant_id, day FROM analytics.raw_files
    WHERE state = 'live' AND bytes_count < :small_bytes
    GROUP BY tenant_id, day HAVING count(*) >= :files_min
    ORDER BY tenant_id, day LIMIT :limit
""")
_LOCK_LIVE = text("""
    SELECT file_id FROM analytics.raw_files
    WHERE file_id = ANY(CAST(:file_ids AS uuid[])) AND state = 'live'
    ORDER BY file_id FOR UPDATE
""")
_REPLACE = text("""
    UPDATE analytics.raw_files SET state = 'replaced', replaced_by = :by, replaced_at = :now
    WHERE file_id = ANY(CAST(:file_ids AS uuid[])) AND state = 'live'
""")
_REPLACED = text(f"""
    SELECT {_FILE} FROM analytics.raw_files
    WHERE state = 'replaced' AND replaced_at < :before ORDER BY replaced_at LIMIT :limit
""")
_DELETED = text("""
    UPDATE analytics.raw_files SET state = 'deleted'
    WHERE file_id = ANY(CAST(:file_ids AS uuid[])) AND state = 'replaced'
""")


async def hold_mark(connection: AsyncConnection) -> tuple[str, int] | None:
    """How far the export has come, held for this transaction; None while another holds it."""
    row = (await connection.execute(_HOLD)).one_or_none()
    return None if row is None else (row.xact, row.event_no)


async def mark(connection: AsyncConnection) -> tuple[str, int]:
    """How far the export has come."""
    row = (await connection.execute(_MARKED)).one()
    return (row.xact, row.event_no)


async def next_events(
    connection: AsyncConnection, after: tuple[str, int], limit: int
) -> list[RawEvent]:
    """The events after the mark whose place in the order is final."""
    values = {"xact": after[0], "event_no": after[1], "limit": limit}
    return [RawEvent(*row) for row in await connection.execute(_NEXT, values)]


async def set_mark(connection: AsyncConnection, last: RawEvent) -> None:
    """Everything up to this event has been exported."""
    await connection.execute(_MARK, {"xact": last.xact, "event_no": last.event_no})


async def add(connection: AsyncConnection, files: Sequence[RawFile], *, now: datetime) -> None:
    """Put files into the manifest."""
    if files:
        await connection.execute(_ADD, [{**_values(one), "now": now} for one in files])


async def live(
    connection: AsyncConnection, *, tenant_id: str | None = None, day: date | None = None
) -> list[RawFile]:
    """The files that hold what was exported, sorted."""
    rows = await connection.execute(_LIVE, {"tenant_id": tenant_id, "day": day})
    return [RawFile(*row) for row in rows]


async def crowded(
    connection: AsyncConnection, *, small_bytes: int, files_min: int, limit: int
) -> list[tuple[str, date]]:
    """Tenants' days that have many small files."""
    values = {"small_bytes": small_bytes, "files_min": files_min, "limit": limit}
    return [(row.tenant_id, row.day) for row in await connection.execute(_CROWDED, values)]


async def replace(
    connection: AsyncConnection, old: Sequence[RawFile], new: RawFile, *, now: datetime
) -> bool:
    """Let `new` stand for all of `old`; False, and nothing is changed, where one is not live."""
    ids = [one.file_id for one in old]
    if len((await connection.execute(_LOCK_LIVE, {"file_ids": ids})).all()) != len(ids):
        return False
    await connection.execute(_REPLACE, {"file_ids": ids, "by": new.file_id, "now": now})
    await add(connection, [new], now=now)
    return True


async def replaced(connection: AsyncConnection, *, before: datetime, limit: int) -> list[RawFile]:
    """Files that nobody reads any more and whose objects may go."""
    rows = await connection.execute(_REPLACED, {"before": before, "limit": limit})
    return [RawFile(*row) for row in rows]


async def mark_deleted(connection: AsyncConnection, files: Sequence[RawFile]) -> None:
    """Their objects are gone."""
    await connection.execute(_DELETED, {"file_ids": [one.file_id for one in files]})


def _values(one: RawFile) -> dict[str, object]:
    return {name: getattr(one, name) for name in _FILE.split(", ")}
