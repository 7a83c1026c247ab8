"""The console's first paint with 50 queues and 100,000 dead letters behind it.

    python bench/console.py [--messages 100000] [--loads 10]

Chromium (BILLFLEET_BROWSER, by default /usr/bin/chromium) opens each page a number of times with an
empty cache, on loopback; the figure is the browser's own first-contentful-paint. Beside it stands
that of a page of four words, which is what the browser takes by itself. The database is a real one
with 2,000 accounts; queues are in memory, for a page never asks them.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
from pathlib import Path

import uvicorn
from playwright.async_api import Browser, async_playwright
from sqlalchemy import text
from starlette.responses import HTMLResponse
from starlette.types import Receive, Scope, Send

from billfleet_db import Database, migrate
from billfleet_ops.console.acting import Acting
from billfleet_ops.console.app import build
from billfleet_ops.console.looks import Looks
from billfleet_ops.console.parts import Console
from billfleet_ops.console.picture import WatchedQueue
from billfleet_ops.console.rendering import environment
from billfleet_ops.console.security import Sessions
from billfleet_ops.console.serving import bind
from billfleet_ops.console.watching import Watch
from billfleet_ops.local.postgres import EmbeddedPostgres
from billfleet_ops.replay.session import Session
from billfleet_workers.adapters.memory_dedupe import MemoryDedupeStore
from billfleet_workers.runtime.clock import SystemClock
from billfleet_workers.runtime.ports.dead_letters import QueueFacts
from long_dlq import LongQueue, bodies

QUEUES = 50
SAMPLES = 200
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
PAINT = """() => new Promise(seen => new PerformanceObserver(list => {
  const one = list.getEntriesByName('first-contentful-paint')[0];
  if (one) seen(one.startTime);
}).observe({type: 'paint', buffered: true}))"""
ACCOUNTS = """
    INSERT INTO business.tenants (tenant_id, name, currency) VALUES ('acme', 'Acme', 'USD');
    INSERT INTO customer.customers (tenant_id, customer_id, name)
      SELECT 'acme', 'c-' || n, 'Customer ' || n FROM generate_series(1, 2000) n;
    INSERT INTO billing.accounts (tenant_id, account_id, customer_id, amount_minor, currency,
      anchor_day, time_zone, rebilling_date)
      SELECT 'acme', 'A-' || n, 'c-' || n, 100, 'USD', 1, 'UTC', '2026-03-01'
      FROM generate_series(1, 2000) n
"""


class ManyQueues(LongQueue):
    """The long dead-letter queue under one name, and many more that hold something."""

    async def describe(self, queue: str) -> QueueFacts | None:
        """Every name is a queue."""
        if queue in ("q-0-dlq", "url"):
            return QueueFacts(
                "url", "q-0-dlq", "arn", is_fifo=False, waiting=self.depth, in_flight=0
            )
        name = queue.removeprefix("url:")
        return QueueFacts(f"url:{name}", name, "arn", is_fifo=False, waiting=7, in_flight=3)


async def measure(browser: Browser, url: str, loads: int) -> tuple[float, float]:
    """The median and the worst first paint of a page, in milliseconds."""
    paints: list[float] = []
    for _ in range(loads):
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(url, wait_until="load")
        paints.append(float(await page.evaluate(PAINT)))
        await context.close()
    return statistics.median(paints), max(paints)


async def no_mail(_: str) -> bytes | None:
    """No page that is measured shows a mail."""
    return None


async def run(database: Database, home: Path, messages: int, loads: int) -> None:
    """Serve, look once, and measure."""
    letters, clock = ManyQueues(bodies(messages)), SystemClock()
    session = Session(letters, MemoryDedupeStore(clock), clock, "bench", home)
    queues = [WatchedQueue(f"q-{n}", f"q-{n}", f"q-{n}-dlq", "worker") for n in range(QUEUES)]
    watch, looks = (
        Watch(letters, database, clock, stack="bench", queues=queues),
        Looks(letters, clock),
    )
    console = Console(
        watch=watch,
        looks=looks,
        acting=Acting(session, database, looks),
        sessions=Sessions(None),
        database=database,
        replay=session,
        templates=environment(),
        catch_up_periods_max=12,
        read_mail=no_mail,
    )
    for _ in range(SAMPLES):
        await watch.look()
    facts = await letters.describe("url")
    assert facts is not None
    looks.begin(facts, limit=messages)
    await looks.ended("q-0-dlq")
    watching = asyncio.create_task(watch.run())
    with bind("127.0.0.1", 0) as listening:
        pages = build(console, hosts=["127.0.0.1"])

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] == "/bare":
                await HTMLResponse("<p>nothing but this</p>")(scope, receive, send)
            else:
                await pages(scope, receive, send)

        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        await show(address, loads)
        server.should_exit = True
        await serving
    watching.cancel()


async def show(address: str, loads: int) -> None:
    """A line for each page."""
    async with async_playwright() as playwright:
        chromium = os.environ.get("BILLFLEET_BROWSER", "/usr/bin/chromium")
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        await measure(browser, address, 1)
        for name, path in (
            ("(a bare page)", "/bare"),
            ("overview", "/"),
            ("dead letters", "/dead-letters"),
            ("one queue", "/dead-letters/q-0-dlq"),
            ("charts", "/queues/q-0"),
            ("account", "/accounts/acme/A-1"),
        ):
            median, worst = await measure(browser, address + path, loads)
            print(f"{name:<14} first paint {median:.0f} ms (worst of {loads}: {worst:.0f} ms)")
        await browser.close()


async def prepare(url: str, app_password: str) -> None:
    """The schema and some accounts."""
    await migrate.upgrade(url)
    await migrate.set_app_password(url, app_password)
    database = Database.connect(url)
    async with database.transaction() as connection:
        for statement in ACCOUNTS.split(";"):
            await connection.execute(text(statement))
    await database.close()


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--messages", type=int, default=100_000)
    options.add_argument("--loads", type=int, default=10)
    asked = options.parse_args()

    async def serve(postgres: EmbeddedPostgres, home: Path) -> None:
        await prepare(postgres.url, postgres.app_password)
        database = Database.connect(postgres.app_url)
        try:
            await run(database, home, asked.messages, asked.loads)
        finally:
            await database.close()

    with tempfile.TemporaryDirectory(prefix="bench-console-") as home:
        postgres = EmbeddedPostgres(Path(home), None, durable=False)
        postgres.start()
        try:
            asyncio.run(serve(postgres, Path(home)))
        finally:
            postgres.stop()


if __name__ == "__main__":
    main()
