"""One look at the database that does not move while it is read, however long that takes.

The export worker reads through it: a connection apart from the pool, one REPEATABLE READ READ ONLY
transaction, rows as COPY writes them or in batches. Whoever takes the rows sets the pace. It knows
no table.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import asyncpg

from billfleet_db.engine import Database
from billfleet_db.errors import mapped

Sink = Callable[[bytes], Awaitable[None]]
CopyForm = Literal["csv", "json"]

BATCH_ROWS: Final = 1_000
# Two characters that JSON never holds outside of an escape: COPY finds nothing to quote.
_JSON_FORM: Final[Mapping[str, Any]] = {"format": "csv", "quote": "\x01", "delimiter": "\x02"}

_BEGIN = """
    SELECT set_config('billfleet.tenant', $1, true), now() AS taken_at,
           pg_current_wal_lsn()::text AS lsn
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The database as it was at `taken_at`; `lsn` is how far its log had been written by then."""

    taken_at: datetime
    lsn: str
    _driver: asyncpg.Connection
    _timeout_s: float

    async def copy(
        self, query: str, args: Sequence[object], sink: Sink, *, form: CopyForm, header: bool
    ) -> int:
        """Run COPY into the sink, whose waiting holds PostgreSQL back; returns the rows.

        Every piece that the sink gets ends with the end of a row. As `json` each row is an object
        on a line of its own.
        """
        options: Mapping[str, Any] = {"format": "csv", "header": header}
        if form == "json":
            query, options = f"SELECT row_to_json(export_row) FROM ({query}) export_row", _JSON_FORM
        with _errors_mapped():
            said = await self._driver.copy_from_query(
                query, *args, output=sink, timeout=self._timeout_s, **options
            )
        return int(said.rpartition(" ")[2])

    async def batches(self, query: str, args: Sequence[object]) -> AsyncIterator[list[Any]]:
        """Give the rows as typed values, some at a time."""
        with _errors_mapped():
            cursor = await self._driver.cursor(query, *args, timeout=self._timeout_s)
            while rows := await cursor.fetch(BATCH_ROWS, timeout=self._timeout_s):
                yield rows

    async def rows(self, query: str, *args: object) -> list[Any]:
        """Give all rows of a small result."""
        with _errors_mapped():
            return list(await self._driver.fetch(query, *args, timeout=self._timeout_s))


@asynccontextmanager
async def open_snapshot(
    database: Database, tenant_id: str, *, timeout_s: float
) -> AsyncIterator[Snapshot]:
    """Take a snapshot that sees one tenant where tables keep tenants apart."""
    async with database.driver() as driver:
        with _errors_mapped():
            # A row may wait for the store to take the last ones: the usual limits are for others.
            await driver.execute(
                f"SET TIME ZONE 'UTC'; SET statement_timeout = {round(timeout_s * 1000)};"
                " SET idle_in_transaction_session_timeout = 0; SET DateStyle = 'ISO, YMD'"
            )
            transaction = driver.transaction(isolation="repeatable_read", readonly=True)
            await transaction.start()
            row = await driver.fetchrow(_BEGIN, tenant_id)
        yield Snapshot(row["taken_at"], row["lsn"], driver, timeout_s)
        with _errors_mapped():
            await transaction.rollback()


@contextmanager
def _errors_mapped() -> Iterator[None]:
    """Let the driver's errors leave as ours."""
    try:
        yield
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        ours = mapped(error)
        if ours is None:
            raise
        raise ours from error
