"""Opens connections to PostgreSQL and gives out transactions.

Called by everything that reads or writes the database. It knows URLs, pools and timeouts, and no
table. Errors leave as the classes of `errors`: they are mapped where SQLAlchemy reports them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from billfleet_db.announcements import Announcements
from billfleet_db.errors import DatabaseError, DatabaseMisconfigured, mapped, redacted

Isolation = Literal["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]

CONNECT_TIMEOUT_S: Final = 10.0
_RETURNED_S: Final = "returned_s"
_DRIVER_ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
_SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")


class Database:
    """A pool of connections to one PostgreSQL database.

    A connection that died while it lay in the pool is noticed when it is taken out, so a restarted
    PostgreSQL heals by itself. One that was used a moment ago is believed to live unless its end
    was heard of: a question to each would cost three round trips a transaction.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        open_connection: Callable[[], Awaitable[asyncpg.Connection]],
        *,
        shown_url: str,
    ) -> None:
        self._engine = engine
        self._open_connection = open_connection
        self.shown_url = shown_url

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        pool_size: int = 10,
        pool_timeout_s: float = 30.0,
        application_name: str = "billfleet",
        statement_timeout_s: float = 30.0,
        lock_timeout_s: float = 10.0,
        idle_in_transaction_timeout_s: float = 60.0,
        answer_grace_s: float = 15.0,
        asked_after_idle_s: float = 20.0,
    ) -> "Database":
        """Prepare a pool for the URL; the first connection is opened when it is needed.

        One that lay in the pool for `asked_after_idle_s` is asked whether it lives before it is
        given out, because a router on the way may have forgotten it and tells nobody.

        Raises DatabaseMisconfigured when the URL is not one of PostgreSQL.
        """
        dsn = _checked(url)
        options = {
            "application_name": application_name,
            "statement_timeout": _ms(statement_timeout_s),
            "lock_timeout": _ms(lock_timeout_s),
            "idle_in_transaction_session_timeout": _ms(idle_in_transaction_timeout_s),
        }
        # The client gives up after the server should have: only a silent network gets there.
        answer_timeout_s = statement_timeout_s + answer_grace_s

        async def open_connection() -> asyncpg.Connection:
            # asyncpg reads the URL itself, so sslmode, sockets and several hosts work as in libpq,
            # and SQLAlchemy never holds the password.
            return await asyncpg.connect(
                dsn,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=answer_timeout_s,
                server_settings=options,
            )

        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=open_connection,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_timeout_s,
            hide_parameters=True,
        )
        event.listen(engine.sync_engine, "handle_error", _map_in_place)
        event.listen(engine.sync_engine, "checkin", _note_return)
        event.listen(engine.sync_engine, "checkout", _refusing_dead(asked_after_idle_s))
        return cls(engine, open_connection, shown_url=redacted(url))

    @asynccontextmanager
    async def transaction(
        self, isolation: Isolation | None = None
    ) -> AsyncIterator[AsyncConnection]:
        """Give a connection inside a transaction: commit at the end, roll back on any exception."""
        connection = await self._take(isolation)
        try:
            async with connection.begin():
                yield connection
        finally:
            # Shielded, because a cancelled caller must still give its connection back.
            await asyncio.shield(connection.close())

    async def ping(self) -> None:
        """Ask the database for an answer; raises what is wrong, and returns when nothing is."""
        async with self.transaction() as connection:
            await connection.execute(text("SELECT 1"))

    @asynccontextmanager
    async def listening(self, channel: str) -> AsyncIterator[Announcements]:
        """Give what is announced on the channel from now on, over a connection of its own."""
        announcements = Announcements()
        with self._located_errors():
            driver = await self._open_connection()
            await driver.add_listener(channel, announcements.heard)
        driver.add_termination_listener(announcements.lost)
        try:
            yield announcements
        finally:
            driver.remove_termination_listener(announcements.lost)
            await asyncio.shield(driver.close())

    @asynccontextmanager
    async def driver(self) -> AsyncIterator[asyncpg.Connection]:
        """Give asyncpg's own connection, apart from the pool, for what SQLAlchemy has no word for.

        What is left unfinished on it ends with the connection.
        """
        with self._located_errors():
            driver = await self._open_connection()
        try:
            yield driver
        finally:
            # At once: a statement in full flow would be read to its end by an orderly farewell.
            driver.terminate()

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    async def _take(self, isolation: Isolation | None) -> AsyncConnection:
        connection = self._engine.connect()
        with self._located_errors():
            await connection.start()
            if isolation is not None:
                await connection.execution_options(isolation_level=isolation)
        return connection

    @contextmanager
    def _located_errors(self) -> Iterator[None]:
        """Let what goes wrong while connecting leave as one of ours, with the place in it."""
        try:
            yield
        except (DatabaseError, SQLAlchemyError, *_DRIVER_ERRORS) as error:
            ours = mapped(error)
            if ours is None:
                raise
            raise type(ours)(f"{ours} [{self.shown_url}]") from error


def _map_in_place(context: ExceptionContext) -> DatabaseError | None:
    """Let every error of a running statement leave SQLAlchemy as one of ours."""
    return mapped(context.sqlalchemy_exception or context.original_exception)


def _note_return(_: object, record: ConnectionPoolEntry) -> None:
    record.info[_RETURNED_S] = asyncio.get_running_loop().time()


def _refusing_dead(asked_after_idle_s: float) -> Callable[[Any, ConnectionPoolEntry, object], None]:
    def refuse_dead(dbapi: Any, record: ConnectionPoolEntry, _: object) -> None:
        """Have the pool open a new connection instead of one that is gone."""
        if dbapi.driver_connection.is_closed():
            raise DisconnectionError
        now_s = asyncio.get_running_loop().time()
        if now_s - record.info.get(_RETURNED_S, now_s) < asked_after_idle_s:
            return
        try:
            dbapi.ping()
        except Exception as error:
            # Whatever it is, a new connection tells better what is wrong.
            raise DisconnectionError from error

    return refuse_dead


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        # Such errors quote the piece that they could not read, which may be half a password.
        raise DatabaseMisconfigured(
            "the database URL cannot be read; a password must be percent-encoded in it"
        ) from None
    if parts.scheme not in _SCHEMES:
        raise DatabaseMisconfigured(
            f"a database URL begins with postgresql://, not {parts.scheme or 'nothing'}://"
        )
    if not parts.path.strip("/"):
        raise DatabaseMisconfigured(f"the database URL names no database: {redacted(url)}")
    return "postgresql" + url[len(parts.scheme) :]


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))
