"""A real worker process under a service manager: ready, watched, restarted, drained.

The manager is the harness of `notify_harness`, which does what systemd does for a unit of
Type=notify, so that this is seen on machines without systemd too.
"""

import asyncio
import os
import sys
from datetime import date
from pathlib import Path

from billfleet_contracts import AccountPeriod, RebillAccounts
from billfleet_db import Database
from billfleet_ops.clients import Clients
from billfleet_producers import Producer
from notify_harness import ServiceManager
from rebill_world import account, charges, seed

ROOMS = ("contracts", "producers", "workers", "db", "ops")
MARCH = date(2026, 3, 1)
WORKER = [sys.executable, "-m", "billfleet_ops", "worker", "run", "rebill"]


def environment_of(
    aws: dict[str, str], database_url: str, stack: str, home: Path
) -> dict[str, str]:
    return {
        **os.environ,
        **aws,
        "DATABASE_URL": database_url,
        "BILLFLEET_STACK": stack,
        "BILLFLEET_HOME": str(home),
        "BILLFLEET_POLL_WAIT_S": "1",
        # What a poll of a killed worker was still handed comes back within the test's patience.
        "BILLFLEET_LEASE_S": "5",
        "BILLFLEET_DRAIN_DEADLINE_S": "5",
    }


async def rebill(stack: str, *names: str) -> None:
    periods = tuple(AccountPeriod(account_id=name, period_start=MARCH) for name in names)
    async with Producer(stack=stack, source="/test", region="us-east-1") as producer:
        await producer.send(RebillAccounts(as_of=MARCH, accounts=periods), tenant="acme")


async def until_charged(database: Database, *names: str) -> None:
    async with asyncio.timeout(30):
        # Each question takes its time, and lets the event loop go on.
        while {name for name, _ in await charges(database)} != set(names):
            pass


async def test_a_worker_is_ready_watched_brought_back_and_drained(
    aws: Clients,
    aws_environment: dict[str, str],
    deployed_stack: str,
    database: Database,
    database_url: str,
    tmp_path: Path,
) -> None:
    del aws
    await seed(database, account("a1"), account("a2"), account("a3"))
    environment = environment_of(aws_environment, database_url, deployed_stack, tmp_path)
    async with ServiceManager(WORKER, environment, watchdog_s=4) as unit:
        assert "rebill" in await unit.until("READY=1")
        await unit.until("WATCHDOG=1")
        await rebill(deployed_stack, "a1")
        await until_charged(database, "a1")

        unit.kill()
        assert await unit.supervise_once() == "ended"
        await unit.until("READY=1")
        await rebill(deployed_stack, "a2")
        await until_charged(database, "a1", "a2")

        unit.freeze()
        assert await unit.supervise_once() == "watchdog"
        await unit.until("READY=1")
        await rebill(deployed_stack, "a3")
        await until_charged(database, "a1", "a2", "a3")

        assert await unit.stop() == 0, "the drain adds up"
        assert unit.heard[-1].startswith("STOPPING=1")
        assert unit.restarts == 2
