"""The processes of the fleet as their beats left them.

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


async def prune(connection: AsyncConnection, *, before: datetime) -> None:
    """Forget processes that were last heard before this."""
    await connection.execute(_PRUNE_PROCESSES, {"before": before})
