"""The world that loyalty tests play in."""

from collections.abc import AsyncIterator

import pytest

from billfleet_db import Database
from loyalty_world import World


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """An empty world; whatever a test does in it, the books must be right afterwards."""
    world = World(database)
    yield world
    assert await world.verify() == []
