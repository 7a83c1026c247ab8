"""What a message left behind: every row of any table that names it.

The console asks for a message's effects. Tables are found by the names of their columns, so that a
table that comes tomorrow is searched without a change here. Each is asked for at most two seconds:
what can't be searched in that time is said, and the rest is shown.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from billfleet_db.engine import Database
from billfleet_db.errors import DatabaseError

NAMING_COLUMNS: Final = (
    "work_id",
    "event_id",
    "message_id",
    "request_id",
    "mail_id",
    "export_id",
    "report_id",
)
LEFT_OUT: Final = ("fleet.outbox", "fleet.deliveries", "fleet.workers", "fleet.actions")
"""These are read by name, each with its own meaning."""
ROWS_MAX: Final = 60
SEARCH_MS: Final = 2_000
VALUE_CHARS_MAX: Final = 300
SECRET: Final = re.compile(r"token|secret|password|request_body|lease", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Column:
    """A column that names messages."""

    table: str
    name: str
    data_type: str


@dataclass(frozen=True, slots=True)
class Trace:
    """Rows of one table. `is_unknown`: it could not be searched in time, or not by us."""

    table: str
    rows: Sequence[Mapping[str, Any]] = ()
    is_unknown: bool = False


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """An event of the outbox, whole."""

    event_id: str
    event_type: str
    tenant_id: str
    route_name: str
    dedupe_key: str
    body: str
    created_at: Any
    sent_at: Any
    refused: str | None


_COLUMNS = text("""
    SELECT c.table_schema || '.' || c.table_name AS "table", c.column_name AS name, c.data_type
    FROM information_schema.columns c
    JOIN information_schema.tables t USING (table_schema, table_name)
    WHERE t.table_type = 'BASE TABLE' AND c.column_name = ANY(CAST(:names AS text[]))
      AND c.data_type IN ('text', 'uuid')
      AND has_table_privilege(format('%I.%I', c.table_schema, c.table_name), 'SELECT')
    ORDER BY 1, 2
""")
_OUTBOX = (
    "event_id, event_type, tenant_id, route_name, dedupe_key, body, created_at, sent_at, refused"
)
_OUTBOX_OF = text(f"SELECT {_OUTBOX} FROM fleet.outbox WHERE event_id = ANY(CAST(:ids AS text[]))")
# A transaction's rows carry one time: what left with an effect was written with it.
_OUTBOX_AT = text(f"""
    SELECT {_OUTBOX} FROM fleet.outbox
    WHERE created_at = ANY(CAST(:times AS timestamptz[])) AND tenant_id = :tenant_id
    ORDER BY outbox_id LIMIT 200
""")
_SEE_ALL = text("SELECT set_config('billfleet.tenant', '*', true)")


async def naming_columns(database: Database) -> list[Column]:
    """The columns to be searched."""
    async with database.transaction() as connection:
        found = await connection.execute(_COLUMNS, {"names": list(NAMING_COLUMNS)})
        columns = [Column(**row) for row in found.mappings()]
    return [one for one in columns if one.table not in LEFT_OUT]


async def traces_of(database: Database, ids: Sequence[str]) -> list[Trace]:
    """The rows of each table that name one of these ids."""
    uuids = [one for one in ids if _is_uuid(one)]
    traces = []
    for column in await naming_columns(database):
        wanted = uuids if column.data_type == "uuid" else list(ids)
        if wanted and (trace := await _search(database, column, wanted)) is not None:
            traces.append(trace)
    return traces


async def _search(database: Database, column: Column, ids: Sequence[str]) -> Trace | None:
    schema, _, table = column.table.partition(".")
    query = text(
        f'SELECT row_to_json(t) AS row FROM "{schema}"."{table}" t '
        f'WHERE "{column.name}" = ANY(CAST(:ids AS {column.data_type}[])) LIMIT {ROWS_MAX}'
    )
    try:
        async with database.transaction() as connection:
            await connection.execute(text(f"SET LOCAL statement_timeout = {SEARCH_MS}"))
            await connection.execute(_SEE_ALL)
            rows = (await connection.execute(query, {"ids": list(ids)})).scalars().all()
    except DatabaseError:
        return Trace(column.table, is_unknown=True)
    return Trace(column.table, [_shown(row) for row in rows]) if rows else None


async def outbox_of(database: Database, ids: Sequence[str]) -> list[OutboxEvent]:
    """The events of these ids, while the outbox keeps them."""
    async with database.transaction() as connection:
        found = await connection.execute(_OUTBOX_OF, {"ids": list(ids)})
        return [OutboxEvent(**row) for row in found.mappings()]


async def outbox_written_at(
    database: Database, tenant_id: str, times: Sequence[Any]
) -> list[OutboxEvent]:
    """The events that were written in the transactions of these moments."""
    if not times:
        return []
    async with database.transaction() as connection:
        values = {"times": list(times), "tenant_id": tenant_id}
        found = await connection.execute(_OUTBOX_AT, values)
        return [OutboxEvent(**row) for row in found.mappings()]


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _cut(value)
        for name, value in row.items()
        if value is not None and not SECRET.search(name)
    }


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > VALUE_CHARS_MAX:
        return value[: VALUE_CHARS_MAX - 1] + "…"
    return value


def _is_uuid(value: str) -> bool:
    try:
        UUID(value)
    except ValueError:
        return False
    return True
