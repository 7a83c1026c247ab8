"""From the console alone: why was Ada not billed? Mend the message and bring it home."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect
from pydantic import SecretStr
from sqlalchemy import text

from billfleet_contracts import AccountPeriod, RebillAccounts, encode, wrap
from billfleet_db import Database
from billfleet_db.customers import Customer, upsert_customers
from billfleet_db.tenants import Tenant, ensure_tenant
from billfleet_ops.clients import Clients
from billfleet_ops.console.app import build
from billfleet_ops.console.serving import open_console
from billfleet_workers.main import run_fleet
from billfleet_workers.settings import Settings
from browser_pages import opened, served

TOKEN = "shown-at-start"


@pytest.fixture
def settings(aws_environment: dict[str, str], deployed_stack: str, database_url: str) -> Settings:
    return Settings(
        DATABASE_URL=SecretStr(database_url),
        AWS_ENDPOINT_URL=aws_environment["AWS_ENDPOINT_URL"],
        stack=deployed_stack,
        poll_wait_s=1,
    )


@pytest.fixture
async def fleet(settings: Settings) -> AsyncIterator[None]:
    """The rebill worker and the relay."""
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(
        run_fleet(settings, ["rebill", "relay"], ready=ready.set, stop=stop)
    )
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
    yield
    stop.set()
    assert (await running).adds_up


async def test_an_operator_finds_out_mends_and_replays(
    chromium: Browser,
    fleet: None,
    settings: Settings,
    database: Database,
    aws: Clients,
    tmp_path: Path,
) -> None:
    today = datetime.now(UTC).date().replace(day=1)
    async with database.transaction() as connection:
        await ensure_tenant(connection, Tenant("acme", "Acme", "USD"))
        await upsert_customers(connection, [Customer("acme", "cus-1", "Ada Lovelace")])
        await connection.execute(
            text("""
                INSERT INTO billing.accounts (tenant_id, account_id, customer_id, amount_minor,
                  currency, anchor_day, time_zone, rebilling_date)
                VALUES ('acme', 'A-1', 'cus-1', 2985, 'USD', 1, 'UTC', :due)
            """),
            {"due": today},
        )
    due = AccountPeriod(account_id="A-1", period_start=today)
    event = RebillAccounts(as_of=today, accounts=(due,))
    body = json.loads(
        encode(wrap(event, tenant="acme", source="/back-office", now=datetime.now(UTC)))
    )
    [account] = body["data"]["accounts"]
    account["period_begin"] = account.pop("period_start")
    url = aws.sqs.get_queue_url(QueueName=f"{settings.stack}-rebill")["QueueUrl"]
    aws.sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body), MessageGroupId="acme")

    async with (
        open_console(settings, tmp_path, token=TOKEN) as console,
        served(build(console, hosts=["127.0.0.1"])) as address,
        opened(chromium) as page,
    ):
        # The address that the console printed; the operator says who acts.
        await page.goto(f"{address}/enter?token={TOKEN}")
        await page.get_by_label("Your name").fill("Grace")
        await page.get_by_role("button", name="Begin").click()
        # The message is buried by the worker, and the overview shows it by itself.
        await expect(page.locator("dd").nth(1)).to_have_text("1", timeout=30_000)

        # Why was Ada not billed?
        await page.get_by_role("searchbox").fill("Lovelace")
        await page.get_by_role("searchbox").press("Enter")
        await expect(page.get_by_text("due, not billed")).to_be_visible()
        await page.get_by_role("link", name="A-1").click()
        await expect(page.get_by_text("1 period is due and not billed")).to_be_visible()
        await page.get_by_role("button", name="Look into the dead-letter queues").click()
        letter = page.get_by_role("row").filter(has_text="InvalidEvent")
        await letter.get_by_role("link").click()
        await expect(page.get_by_text("Field required").first).to_be_visible()
        await expect(page.get_by_text("unreadable").first).to_be_visible()

        # Mend it.
        await page.get_by_role("link", name="Edit…").click()
        text_area = page.get_by_label("Body")
        await text_area.fill((await text_area.input_value()).replace("_begin", "_start"))
        await page.get_by_role("button", name="Check").click()
        await expect(page.get_by_text("The body keeps its contract.")).to_be_visible()
        await expect(page.locator(".diff .added").first).to_be_visible()

        # Bring it home.
        await page.get_by_role("button", name="Send the edited message").click()
        await expect(page.get_by_text("1 sent, 1 taken out, 0 stayed")).to_be_visible()
        await expect(page.get_by_text("Grace").first).to_be_visible()

        # Ada is billed.
        for _ in range(60):
            await page.goto(f"{address}/accounts/acme/A-1")
            if await page.get_by_text("29.85 USD was billed on").count():
                break
            await page.wait_for_timeout(500)
        await expect(page.get_by_text("29.85 USD was billed on")).to_be_visible()
        await page.get_by_role("link", name="The life of the message that billed it").click()
        await expect(page.get_by_text("Grace: edit and replay")).to_be_visible()
        await expect(page.get_by_role("heading", name="billing.transfers 1")).to_be_visible()
