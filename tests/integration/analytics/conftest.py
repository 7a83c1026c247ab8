"""The world that analytics tests play in."""

import pytest

from analytics_world import World
from billfleet_db import Database


@pytest.fixture
async def world(database: Database) -> World:
    """A tenant in Berlin that has counted nothing."""
    world = World(database)
    await world.seed(time_zone="Europe/Berlin")
    return world
