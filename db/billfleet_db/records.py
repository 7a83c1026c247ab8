"""The newest rows of a table of what was done for people: mails, exports, reports, webhooks.

The console lists them. A table is named by the caller from a list of constants; a column that may
hold a secret is never read out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import RowMapping, text

from billfleet_db.engine import Database
from billfleet_db.traces import SECRET

TIMES: Final = (
    "created_at",
    "prepared_at",
    "requested_at",
    "suppressed_at",
    "refused_at",
)
READ_MS: Final = 3_000
VALUE_CHARS_MAX: Final = 160


@dataclass(frozen=True, slots=True)
class Records:
    """The newest rows. `exists` is False before the table's migration."""

    exists: bool
    columns: Sequence[str] = ()
    rows: Sequence[Mapping[str, Any]] = ()


_COLUMNS = text("""
    SELECT column_name FROM information_schema.columns
    WHERE table_schema || '.' || table_name = :table
      AND has_column_privilege(format('%I.%I', table_schema, table_name), column_name, 'SELECT')
    ORDER BY ordinal_position
""")
_SEE_ALL = text("SELECT set_config('billfleet.tenant', '*', true)")


async def newest(database: Database, table: str, *, tenant: str, limit: int) -> Records:
    """Read them, of one tenant or, with an empty name, of all."""
    async with database.transaction() as connection:
        await connection.execute(text(f"SET LOCAL statement_timeout = {READ_MS}"))
        await connection.execute(_SEE_ALL)
        columns = list((await connection.execute(_COLUMNS, {"table": table})).scalars())
        columns = [one for one in columns if not SECRET.search(one)]
        if not columns:
            return Records(exists=False)
        time = next((one for one in TIMES if one in columns), None)
        order = f'ORDER BY "{time}" DESC' if time else ""
        of_tenant = "WHERE tenant_id = :tenant" if tenant and "tenant_id" in columns else ""
        schema, _, name = table.partition(".")
        listed = ", ".join(f'"{one}"' for one in columns)
        table_name = f'"{schema}"."{name}"'
        query = text(f"SELECT {listed} FROM {table_name} {of_tenant} {order} LIMIT {limit}")
        found = await connection.execute(query, {"tenant": tenant} if of_tenant else {})
        rows = [_shown(row) for row in found.mappings()]
        return Records(exists=True, columns=columns, rows=rows)


def _shown(row: RowMapping) -> dict[str, Any]:
    return {name: _cut(value) for name, value in row.items()}


def _cut(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return f"{len(value)} bytes"
    if isinstance(value, str) and len(value) > VALUE_CHARS_MAX:
        return value[: VALUE_CHARS_MAX - 1] + "…"
    return value
