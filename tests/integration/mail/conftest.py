"""The world that mail tests play in."""

import pytest

from billfleet_db import Database
from mail_world import MailWorld


@pytest.fixture
async def world(database: Database) -> MailWorld:
    """No account yet, and a mail service that takes everything."""
    return MailWorld(database)
