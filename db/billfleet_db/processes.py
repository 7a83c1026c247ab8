"""The processes of the fleet as their beats left them, and the setbacks that they carried along.

Workers write here every few seconds; the console, `billfleet top` and the backlog watch read. What
`detail` holds is the runtime's matter.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Process:
    """A row of fleet.workers."""

    worker_id: str
    host: str
    pid: int
    version: str
    workers: Sequence[str]
    started_at: datetime
    beat_at: datetime
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SetbackRow:
    """A row of fleet.setbacks."""

    at: datetime
    queue: str
    message_id: str
    event_id: str | None
    event_type: str
    tenant_id: str | None
    outcome: str
    reason: str
    error_class: str
    receive_count: int
    worker_id: str


_BEAT = text("""
    INSERT INTO fleet.workers (worker_id, host, pid, version, workers, started_at, beat_at, detail)
    VALUES (:worker_id, :host, :pid, :version, CAST(:workers AS text[]), :started_at, :beat_at,
            CAST(:detail AS jsonb))
    ON CONFLICT (worker_id) DO UPDATE SET beat_at = excluded.beat_at, detail = excluded.detail
""")
_LEAVE = text("DELETE FROM fleet.workers WHERE worker_id = :worker_id")
_SINCE = text("""
    SELECT worker_id, host, pid, version, workers, started_at, beat_at, detail FROM fleet.workers
    WHERE beat_at >= :since ORDER BY host, pid, started_at
""")
_PRUNE_PROCESSES = text("DELETE FROM fleet.workers WHERE beat_at < :before")
_COLUMNS = (
    "at, queue, message_id, event_id, event_type, tenant_id, outcome, reason, error_class, "
    "receive_count, worker_id"
)
_ADD_SETBACKS = text(f"""
    INSERT INTO fleet.setbacks ({_COLUMNS})
    SELECT {_COLUMNS} FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
      at timestamptz, queue text, message_id text, event_id text, event_type text, tenant_id text,
      outcome text, reason text, error_class text, receive_count integer, worker_id text)
""")
_SETBACKS_OF = text(f"""
    SELECT {_COLUMNS} FROM fleet.setbacks
    WHERE event_id = ANY(CAST(:ids AS text[])) OR message_id = ANY(CAST(:ids AS text[]))
    ORDER BY setback_id LIMIT 500
""")
_LATEST = text(f"SELECT {_COLUMNS} FROM fleet.setbacks ORDER BY setback_id DESC LIMIT :limit")
_PRUNE_SETBACKS = text("DELETE FROM fleet.setbacks WHERE at < :before")


async def beat(connection: AsyncConnection, process: Process) -> None:
    """Write the latest beat of a process."""
    values = asdict(process) | {
        "workers": list(process.workers),
        "detail": json.dumps(process.detail),
    }
    await connection.execute(_BEAT, values)


async def leave(connection: AsyncConnection, worker_id: str) -> None:
    """The process ends, and its row with it."""
    await connection.execute(_LEAVE, {"worker_id": worker_id})


async def processes_since(connection: AsyncConnection, since: datetime) -> list[Process]:
    """Those whose last beat is no older than this."""
    found = await connection.execute(_SINCE, {"since": since})
    return [Process(**row) for row in found.mappings()]


async def add_setbacks(connection: AsyncConnection, rows: Sequence[SetbackRow]) -> None:
    """Keep what went wrong."""
    if rows:
        listed = [asdict(row) | {"at": row.at.isoformat()} for row in rows]
        await connection.execute(_ADD_SETBACKS, {"rows": json.dumps(listed)})


async def setbacks_of(connection: AsyncConnection, ids: Sequence[str]) -> list[SetbackRow]:
    """The setbacks of a message or an event, oldest first."""
    found = await connection.execute(_SETBACKS_OF, {"ids": list(ids)})
    return [SetbackRow(**row) for row in found.mappings()]


async def latest_setbacks(connection: AsyncConnection, limit: int) -> list[SetbackRow]:
    """The newest setbacks of all."""
    found = await connection.execute(_LATEST, {"limit": limit})
    return [SetbackRow(**row) for row in found.mappings()]


async def prune(
    connection: AsyncConnection, *, processes_before: datetime, setbacks_before: datetime
) -> None:
    """Forget processes that died long ago, and old setbacks."""
    await connection.execute(_PRUNE_PROCESSES, {"before": processes_before})
    await connection.execute(_PRUNE_SETBACKS, {"before": setbacks_before})
