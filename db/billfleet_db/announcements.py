"""Hears what PostgreSQL announces on a channel, so that a relay need not ask all the time.

Called through `Database.listening`. An announcement is a hint and not a queue: it can be lost with
its connection, so whoever waits looks for work after every wait, announced or not.
"""

import asyncio

from billfleet_db.errors import DatabaseUnavailable


class Announcements:
    """The announcements of one channel, while its connection lives."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self._is_lost = False

    def heard(self, *_what: object) -> None:
        """Take an announcement in."""
        self._news.set()

    def lost(self, *_what: object) -> None:
        """Take in that nothing will be heard any more."""
        self._is_lost = True
        self._news.set()

    async def wait(self, timeout_s: float) -> bool:
        """Return True once something was announced, or False when nothing was in time.

        Raises DatabaseUnavailable when the connection is gone; listen again then.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return False
        if self._is_lost:
            raise DatabaseUnavailable("the connection that listened for announcements was lost")
        self._news.clear()
        return True
