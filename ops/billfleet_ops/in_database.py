"""One transaction for a command: opened from the settings, as the application role.

Commands that do one thing in the database hand it what to do. It knows no table.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db import Database
from billfleet_ops.configuration import load_settings

Result = TypeVar("Result")


def in_database(act: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
    """Run `act` in a transaction: it commits at the end, and rolls back on any error."""
    url = load_settings().database_url.get_secret_value()

    async def run() -> Result:
        database = Database.connect(url, pool_size=1)
        try:
            async with database.transaction() as connection:
                return await act(connection)
        finally:
            await database.close()

    return asyncio.run(run())
