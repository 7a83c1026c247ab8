"""Chromium, and a console that is served to it."""

import os
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright
from sqlalchemy import text

from billfleet_db import Database
from billfleet_db.customers import Customer, upsert_customers
from billfleet_db.tenants import Tenant, ensure_tenant
from billfleet_ops.console.app import build
from browser_pages import served
from console_room import ConsoleRoom

CHROMIUM = os.environ.get("BILLFLEET_BROWSER", "")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    """One browser for a test."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
async def room(database: Database, tmp_path: Path) -> AsyncIterator[ConsoleRoom]:
    """A console over queues in memory, with Ada's account that is due."""
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
    made = ConsoleRoom(database, tmp_path)
    await made.watch.look()
    yield made
    await made.acting.close()
    await made.looks.close()


@pytest.fixture
async def address(room: ConsoleRoom) -> AsyncIterator[str]:
    """Where the console is served."""
    async with served(build(room.console, hosts=["127.0.0.1"])) as found:
        yield found
