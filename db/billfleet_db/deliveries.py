"""How deliveries ended, as the beats of workers told it.

The console reads a message's life here. It is no proof of anything: the ledger is.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row of fleet.deliveries."""

    at: datetime
    queue: str
    message_id: str
    event_id: str | None
    event_type: str
    tenant_id: str | None
    source: str | None
    dedupe_key: str | None
    outcome: str
    note: str
    error_class: str
    receive_count: int
    handle_ms: float
    worker_id: str


_COLUMNS = (
    "at, queue, message_id, event_id, event_type, tenant_id, source, dedupe_key, outcome, note, "
    "error_class, receive_count, handle_ms, worker_id"
)
_ADD = text(f"""
    INSERT INTO fleet.deliveries ({_COLUMNS})
    SELECT {_COLUMNS} FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
      at timestamptz, queue text, message_id text, event_id text, event_type text, tenant_id text,
      source text, dedupe_key text, outcome text, note text, error_class text,
      receive_count integer, handle_ms real, worker_id text)
""")
_OF = text(f"""
    SELECT {_COLUMNS} FROM fleet.deliveries
    WHERE event_id = ANY(CAST(:ids AS text[])) OR message_id = ANY(CAST(:ids AS text[]))
    ORDER BY at, delivery_id LIMIT 500
""")
_LATEST_SETBACKS = text(f"""
    SELECT {_COLUMNS} FROM fleet.deliveries WHERE outcome IN ('retry', 'poison')
      AND (CAST(:queue AS text) IS NULL OR queue = :queue)
    ORDER BY delivery_id DESC LIMIT :limit
""")
_PRUNE = text("""
    DELETE FROM fleet.deliveries
    WHERE at < :done_before AND (at < :setbacks_before OR outcome IN ('done', 'duplicate'))
""")


async def add(connection: AsyncConnection, rows: Sequence[Delivery]) -> None:
    """Keep how these ended."""
    if rows:
        listed = [asdict(row) | {"at": row.at.isoformat()} for row in rows]
        # A zero character is no text to PostgreSQL, and a reason may quote anything.
        await connection.execute(_ADD, {"rows": json.dumps(listed).replace("\\u0000", "")})


async def of(connection: AsyncConnection, ids: Sequence[str]) -> list[Delivery]:
    """Those of a message or an event, oldest first."""
    found = await connection.execute(_OF, {"ids": list(ids)})
    return [Delivery(**row) for row in found.mappings()]


async def latest_setbacks(
    connection: AsyncConnection, limit: int, queue: str | None = None
) -> list[Delivery]:
    """The newest that ended in a retry or as poison."""
    found = await connection.execute(_LATEST_SETBACKS, {"limit": limit, "queue": queue})
    return [Delivery(**row) for row in found.mappings()]


async def prune(
    connection: AsyncConnection, *, setbacks_before: datetime, done_before: datetime
) -> None:
    """Forget old ones; setbacks are kept longer than what went well."""
    values = {"setbacks_before": setbacks_before, "done_before": done_before}
    await connection.execute(_PRUNE, values)
