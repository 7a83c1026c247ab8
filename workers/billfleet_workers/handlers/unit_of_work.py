"""One transaction, with the database's errors in the runtime's words.

Every handler opens its transaction here, so that a lost database pauses receiving and a deadlock
is tried again, without any handler naming the database's errors itself.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db import Database
from billfleet_db.engine import Isolation
from billfleet_db.errors import (
    DatabaseMisconfigured,
    DatabaseUnavailable,
    SerializationConflict,
)
from billfleet_workers.runtime.errors import Misconfigured, Transient, Unavailable

DEPENDENCY = "postgresql"


@asynccontextmanager
async def transaction(
    database: Database, isolation: Isolation | None = None
) -> AsyncIterator[AsyncConnection]:
    """Commit on the way out, roll back on an error.

    Raises:
        Unavailable: PostgreSQL can't be reached; receiving pauses.
        Misconfigured: PostgreSQL refuses us: a login, a grant or a table is missing.
        Transient: another transaction got in the way; the message is tried again soon.
    """
    with database_errors():
        async with database.transaction(isolation) as connection:
            yield connection


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn the database room's errors into the runtime's."""
    try:
        yield
    except DatabaseUnavailable as error:
        raise Unavailable(DEPENDENCY, str(error)) from error
    except DatabaseMisconfigured as error:
        raise Misconfigured(DEPENDENCY, str(error)) from error
    except SerializationConflict as error:
        raise Transient(str(error), retry_after_s=1.0) from error
