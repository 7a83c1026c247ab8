import pytest

from billfleet_db.announcements import Announcements
from billfleet_db.errors import DatabaseUnavailable


async def test_waiting_ends_with_news_or_with_time_and_news_count_once() -> None:
    announcements = Announcements()
    assert not await announcements.wait(0)
    announcements.heard("connection", 1, "channel", "")
    announcements.heard()
    assert await announcements.wait(30)
    assert not await announcements.wait(0)


async def test_a_lost_connection_is_told_at_every_wait() -> None:
    announcements = Announcements()
    announcements.lost("connection")
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            await announcements.wait(0)
