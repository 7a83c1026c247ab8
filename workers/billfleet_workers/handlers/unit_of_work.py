"""One transaction, with the database's errors in the runtime's words.

Every handler opens its transaction here, so that a lost database pauses receiving and a deadlock
is tried again, without any handler naming the database's errors itself.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db import Database
from billfleet_db.errors import DatabaseUnavailable, SerializationConflict
from billfleet_workers.runtime.errors import Transient, Unavailable


@asynccontextmanager
async def transaction(database: Database) -> AsyncIterator[AsyncConnection]:
    """Commit on the way out, roll back on an error.

    Raises:
        Unavailable: PostgreSQL can't be reached; receiving pauses.
        Transient: another transaction got in the way; the message is tried again soon.
    """
    try:
        async with database.transaction() as connection:
            yield connection
    except DatabaseUnavailable as error:
        raise Unavailable("postgresql", str(error)) from error
    except SerializationConflict as error:
        raise Transient(str(error), retry_after_s=1.0) from error
