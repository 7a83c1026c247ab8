"""The world that tests of collection happen in."""

import pytest

from billfleet_db import Database
from collect_world import World


@pytest.fixture
def world(database: Database) -> World:
    return World(database)
