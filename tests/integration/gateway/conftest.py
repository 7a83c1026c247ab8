"""The front door that these tests knock at."""

from collections.abc import AsyncIterator

import httpx
import pytest

from billfleet_db import Database
from gateway_world import FrontDoor


@pytest.fixture
async def front(database: Database, gateway_database: Database) -> FrontDoor:
    """An open door before two tenants."""
    front = FrontDoor(database, gateway_database)
    await front.seed()
    return front


@pytest.fixture
async def acme(front: FrontDoor) -> AsyncIterator[httpx.AsyncClient]:
    """A caller of the tenant acme who may do everything."""
    async with front.client() as client:
        yield client


@pytest.fixture
async def bolt(front: FrontDoor) -> AsyncIterator[httpx.AsyncClient]:
    """The same of another tenant."""
    async with front.client("bolt") as client:
        yield client
