"""Exports: what was asked for, who is at work on it, how far it has come, and how it ended.

Called by the export worker for each step of a run, and by commands, console and gateway, which ask
for exports, show them and stop them. A run holds the row by its id and a lease; a run that lost it
changes nothing any more. Whether a ready export may still be opened is what `files` says.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

StoredState = Literal["requested", "running", "ready", "failed", "cancelled"]
State = Literal["requested", "running", "ready", "failed", "cancelled", "expired", "revoked"]
Held = Literal["ours", "cancelled", "lost"]


@dataclass(frozen=True, slots=True)
class NewExport:
    """What somebody asks for."""

    tenant_id: str
    export_id: UUID
    dataset: str
    format: str
    locale: str
    work_id: str
    requested_at: datetime
    filters: Mapping[str, str] = field(default_factory=dict)
    columns: Sequence[str] = ()
    notify: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Export(NewExport):
    """An export as it is recorded; `state` also says what became of its file."""

    state: State = "requested"
    tries: int = 0
    rows_written: int = 0
    bytes_count: int = 0
    failure: str | None = None
    manifest: Mapping[str, Any] | None = None
    cancel_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None
    object_key: str | None = None
    file_name: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One worker's go at an export."""

    tenant_id: str
    export_id: UUID
    run_id: UUID


@dataclass(frozen=True, slots=True)
class Taken:
    """The export is ours to make; this is the try of that number."""

    tries: int


@dataclass(frozen=True, slots=True)
class Ended:
    """There is nothing left to do. `just_now`: it ended by this very call."""

    state: StoredState
    just_now: bool = False


@dataclass(frozen=True, slots=True)
class Busy:
    """Not now: another worker is at it, or the tenant has as many running as it may."""

    reason: str
    until: datetime


_COLUMNS = """e.tenant_id, e.export_id, e.dataset, e.format, e.locale, e.work_id, e.requested_at,
    e.filters, e.columns, e.notify, e.tries, e.rows_written, e.bytes_count, e.failure, e.manifest,
    e.cancel_at, e.started_at, e.finished_at, f.expires_at, f.object_key, f.file_name,
    CASE WHEN e.state <> 'ready' THEN e.state WHEN f.revoked_at IS NOT NULL THEN 'revoked'
         WHEN f.expires_at <= :now THEN 'expired' ELSE 'ready' END AS state"""
_FROM = """FROM fleet.exports e
    LEFT JOIN fleet.files f ON f.tenant_id = e.tenant_id AND f.file_id = e.export_id"""

_REQUEST = text("""
    INSERT INTO fleet.exports (tenant_id, export_id, dataset, format, filters, columns, locale,
                               notify, work_id, requested_at)
    VALUES (:tenant_id, :export_id, :dataset, :format, CAST(:filters AS jsonb),
            CAST(:columns AS text[]), :locale, CAST(:notify AS jsonb), :work_id, :requested_at)
    ON CONFLICT ON CONSTRAINT pk_exports DO NOTHING
""")
_FIND = text(f"SELECT {_COLUMNS} {_FROM} WHERE e.tenant_id = :tenant_id AND e.export_id = :id")
_LIST = text(f"""
    SELECT {_COLUMNS} {_FROM} WHERE CAST(:tenant_id AS text) IS NULL OR e.tenant_id = :tenant_id
    ORDER BY e.requested_at DESC, e.export_id LIMIT :limit
""")
_LOCK_TENANT = text("SELECT pg_advisory_xact_lock(hashtextextended('exports:' || :tenant_id, 0))")
_LOCK = text("""
    SELECT state, run_id, leased_until, cancel_at, tries FROM fleet.exports
    WHERE tenant_id = :tenant_id AND export_id = :id FOR UPDATE
""")
_RUNNING = text("""
    SELECT count(*) AS running, min(leased_until) AS until FROM fleet.exports
    WHERE tenant_id = :tenant_id AND state = 'running' AND leased_until > :now
      AND export_id <> :id
""")
_TAKE = text("""
    UPDATE fleet.exports
    SET state = 'running', run_id = :run_id, leased_until = :until, tries = tries + 1,
        rows_written = 0, bytes_count = 0, started_at = coalesce(started_at, :now)
    WHERE tenant_id = :tenant_id AND export_id = :id
""")
_OURS = """WHERE tenant_id = :tenant_id AND export_id = :id AND state = 'running'
      AND run_id = :run_id"""
_ADVANCE = text(f"""
    UPDATE fleet.exports SET rows_written = :rows, bytes_count = :bytes_count, leased_until = :until
    {_OURS} RETURNING cancel_at
""")
_GIVE_BACK = text(f"""
    UPDATE fleet.exports
    SET state = 'requested', run_id = NULL, leased_until = NULL,
        tries = tries - CASE WHEN :blameless THEN 1 ELSE 0 END
    {_OURS}
""")
_PUBLISH = text(f"""
    UPDATE fleet.exports
    SET state = 'ready', run_id = NULL, leased_until = NULL, manifest = CAST(:manifest AS jsonb),
        rows_written = :rows, bytes_count = :bytes_count, finished_at = :now
    {_OURS}
""")
_END = text("""
    UPDATE fleet.exports
    SET state = :state, run_id = NULL, leased_until = NULL, failure = :failure, finished_at = :now
    WHERE tenant_id = :tenant_id AND export_id = :id AND state IN ('requested', 'running')
      AND (CAST(:run_id AS uuid) IS NULL OR run_id = :run_id)
""")
_CANCEL = text("""
    UPDATE fleet.exports SET cancel_at = coalesce(cancel_at, :now)
    WHERE tenant_id = :tenant_id AND export_id = :id AND state IN ('requested', 'running')
""")


def manifest_key(object_key: str) -> str:
    """Where the manifest of a file lies, so that the file can be checked without this database."""
    return f"{object_key}.manifest.json"


async def request(connection: AsyncConnection, export: NewExport) -> bool:
    """Record what is asked for; False when this export was asked for before."""
    values = {name: getattr(export, name) for name in NewExport.__dataclass_fields__}
    values |= {
        "filters": json.dumps(dict(export.filters)),
        "notify": json.dumps(dict(export.notify)),
        "columns": list(export.columns),
    }
    return (await connection.execute(_REQUEST, values)).rowcount == 1


async def find(
    connection: AsyncConnection, tenant_id: str, export_id: UUID, *, now: datetime
) -> Export | None:
    """One export of the tenant."""
    found = await connection.execute(_FIND, {"tenant_id": tenant_id, "id": export_id, "now": now})
    row = found.mappings().one_or_none()
    return Export(**row) if row is not None else None


async def newest(
    connection: AsyncConnection, tenant_id: str | None, *, now: datetime, limit: int = 50
) -> list[Export]:
    """The latest exports of one tenant, or of all."""
    found = await connection.execute(_LIST, {"tenant_id": tenant_id, "limit": limit, "now": now})
    return [Export(**row) for row in found.mappings()]


async def take(
    connection: AsyncConnection,
    run: Run,
    *,
    now: datetime,
    lease: timedelta,
    per_tenant_max: int,
) -> Taken | Ended | Busy:
    """Begin a run, unless the export has ended, is in other hands, or its tenant must wait.

    An export that was asked to stop and is not running ends here.
    """
    values = {"tenant_id": run.tenant_id, "id": run.export_id, "now": now}
    await connection.execute(_LOCK_TENANT, {"tenant_id": run.tenant_id})
    row = (await connection.execute(_LOCK, values)).one()
    if row.state in ("ready", "failed", "cancelled"):
        return Ended(row.state)
    if row.state == "running" and row.leased_until > now:
        return Busy("another worker is writing it", row.leased_until)
    if row.cancel_at is not None:
        await end(connection, run, "cancelled", now=now, any_run=True)
        return Ended("cancelled", just_now=True)
    others = (await connection.execute(_RUNNING, values)).one()
    if others.running >= per_tenant_max:
        return Busy(f"{others.running} exports of this tenant are running", others.until)
    await connection.execute(_TAKE, values | {"run_id": run.run_id, "until": now + lease})
    return Taken(row.tries + 1)


async def advance(
    connection: AsyncConnection, run: Run, *, rows: int, bytes_count: int, until: datetime
) -> Held:
    """Report progress and extend the lease; says whether the run should go on."""
    values = _of(run) | {"rows": rows, "bytes_count": bytes_count, "until": until}
    row = (await connection.execute(_ADVANCE, values)).one_or_none()
    if row is None:
        return "lost"
    return "ours" if row.cancel_at is None else "cancelled"


async def publish(
    connection: AsyncConnection,
    run: Run,
    manifest: Mapping[str, Any],
    *,
    rows: int,
    bytes_count: int,
    now: datetime,
) -> bool:
    """Say that the export is ready; False when the run is no longer ours to end."""
    values = _of(run) | {
        "manifest": json.dumps(dict(manifest)),
        "rows": rows,
        "bytes_count": bytes_count,
        "now": now,
    }
    return (await connection.execute(_PUBLISH, values)).rowcount == 1


async def end(
    connection: AsyncConnection,
    run: Run,
    state: Literal["failed", "cancelled"],
    *,
    now: datetime,
    failure: str | None = None,
    any_run: bool = False,
) -> bool:
    """Say that there will be no file; False when it had ended already, or is another's."""
    values = _of(run) | {"state": state, "failure": failure, "now": now}
    if any_run:
        values["run_id"] = None
    return (await connection.execute(_END, values)).rowcount == 1


async def give_back(connection: AsyncConnection, run: Run, *, blameless: bool) -> None:
    """Let another worker begin again at once; a blameless run does not count as a try.

    Nothing happens if the run was lost.
    """
    await connection.execute(_GIVE_BACK, _of(run) | {"blameless": blameless})


async def cancel(
    connection: AsyncConnection, tenant_id: str, export_id: UUID, *, now: datetime
) -> bool:
    """Ask for an export to be stopped; False when it has ended, or there is none."""
    values = {"tenant_id": tenant_id, "id": export_id, "now": now}
    return (await connection.execute(_CANCEL, values)).rowcount == 1


def _of(run: Run) -> dict[str, Any]:
    return {"tenant_id": run.tenant_id, "id": run.export_id, "run_id": run.run_id}
