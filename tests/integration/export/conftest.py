"""The world of exports, seeded."""

import pytest

from billfleet_db import Database
from export_world import ExportWorld


@pytest.fixture
async def world(database: Database, superuser_database: Database) -> ExportWorld:
    """Two tenants, each with an account and no postings yet."""
    made = ExportWorld(database, superuser_database)
    await made.seed()
    return made
