"""A console over a real database, with one account that is due."""

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from billfleet_db import Database
from billfleet_db.customers import Customer, upsert_customers
from billfleet_db.tenants import Tenant, ensure_tenant
from console_room import ConsoleRoom


@pytest.fixture
async def books(database: Database) -> Database:
    """Tenant `acme` with Ada's account `A-1`, due on 1 March 2026."""
    async with database.transaction() as connection:
        await ensure_tenant(connection, Tenant("acme", "Acme", "USD"))
        await upsert_customers(connection, [Customer("acme", "cus-1", "Ada", "ada@example.test")])
        await connection.execute(
            text("""
                INSERT INTO billing.accounts (tenant_id, account_id, customer_id, amount_minor,
                  currency, anchor_day, time_zone, rebilling_date)
                VALUES ('acme', 'A-1', 'cus-1', 2985, 'USD', 1, 'UTC', :due)
            """),
            {"due": date(2026, 3, 1)},
        )
    return database


@pytest.fixture
async def room(books: Database, tmp_path: Path) -> AsyncIterator[ConsoleRoom]:
    """The console, which has seen its queues once."""
    made = ConsoleRoom(books, tmp_path)
    await made.watch.look()
    yield made
    await made.acting.close()
    await made.looks.close()


@pytest.fixture
async def browser(room: ConsoleRoom) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who looks at it."""
    async with room.browser() as opened:
        yield opened
