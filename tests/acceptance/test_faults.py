"""Everything goes wrong at once, and nobody is billed twice.

Real worker processes are killed with SIGKILL at random moments, each message is sent one to three
times, the AWS endpoint answers errors before and after it did what was asked, connections are cut,
two sweeps run at once, and PostgreSQL crashes and comes back. What must be true afterwards is
computed from the list of accounts alone.
"""

import asyncio
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import text

from billfleet_db import Database, migrate
from billfleet_db.figures import backlog, books
from billfleet_db.verify import verify
from billfleet_ops.clients import Clients
from billfleet_ops.csv_import import ImportRequest, import_accounts
from billfleet_ops.local.aws import EmbeddedAws
from faulty_endpoint import FaultPlan, FaultyEndpoint
from fixtures_postgres import Cluster

BILLFLEET = Path(sys.executable).parent / "billfleet"
SEED = 20260131
TENANTS = tuple(f"tenant-{number:02d}" for number in range(30))
ACCOUNTS = 24
FIRST_PERIOD = date(2026, 1, 31)
AS_OF = date(2026, 4, 30)
# Anchor day 31: the last day of each of these months, whatever its length.
PERIODS = (date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30))
KILLS = 8
KILLS_AT_WORK_MIN = 2
PATIENCE_S = 300


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="billfleet-faults-"))
    cluster = Cluster(folder)
    cluster.create()
    cluster.start()
    cluster.say("CREATE DATABASE billfleet")
    try:
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder)


def write_accounts(tenant: str, path: Path) -> dict[str, int]:
    """A CSV of accounts, and what one period of each costs in cents."""
    chance = random.Random(f"{SEED}:{tenant}")
    prices = {f"A-{number:04d}": chance.randint(100, 9999) for number in range(ACCOUNTS)}
    zones = ("UTC", "America/New_York", "Asia/Tokyo", "Pacific/Apia")
    lines = ["account_id,name,amount,currency,time_zone,anchor_day,rebilling_date"]
    lines += [
        f"{account},N {account},{cents // 100}.{cents % 100:02d},USD,{chance.choice(zones)},31,"
        f"{FIRST_PERIOD}"
        for account, cents in prices.items()
    ]
    path.write_text("\n".join(lines) + "\n")
    return prices


async def run(environment: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    """One command, as a user types it."""
    process = await asyncio.create_subprocess_exec(
        str(BILLFLEET),
        *arguments,
        env=dict(environment),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    words, _ = await process.communicate()
    return process.returncode or 0, words.decode()


async def until_it_works(environment: Mapping[str, str], *arguments: str) -> str:
    """Run a command again until it ends with 0; an outage may refuse it, never with a traceback."""
    words = ""
    for _ in range(40):
        code, words = await run(environment, *arguments)
        assert "Traceback" not in words, words
        if code == 0:
            return words
        assert code in (1, 4), words
        await asyncio.sleep(0.5)
    raise AssertionError(f"never worked: {arguments}\n{words}")


class MortalWorker:
    """A worker process that is killed and replaced."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._environment = environment
        self._log = log
        self._starts = 0
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._starts = self._said_started()
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                str(BILLFLEET),
                *("worker", "run", "--all"),
                env=dict(self._environment),
                stdout=log,
                stderr=log,
            )

    async def started(self) -> None:
        """Return when it says that it receives; whatever ends before is started again."""
        while self._said_started() == self._starts:
            await self.keep_alive()
            await asyncio.sleep(0.1)

    def _said_started(self) -> int:
        return self._log.read_bytes().count(b"fleet_started") if self._log.exists() else 0

    async def kill(self) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def keep_alive(self) -> None:
        """A supervisor's part: whatever ends by itself (an outage at start) is started again."""
        assert self.process is not None
        if self.process.returncode is not None:
            await self.start()

    async def drain(self) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await self.process.wait()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database.connect(url, pool_size=2)
    try:
        yield database
    finally:
        await database.close()


@pytest.mark.timeout(PATIENCE_S + 120)
async def test_whatever_dies_every_period_is_billed_and_paid_exactly_once(
    own_cluster: Cluster,
    deployed_stack: str,
    aws: Clients,
    aws_endpoint: str,
    embedded_aws: EmbeddedAws,
    tmp_path: Path,
) -> None:
    """R7, R8, R9, R29, R39: exactly once in effect, under every fault at the same time."""
    superuser_url = own_cluster.superuser_url("billfleet")
    await migrate.upgrade(superuser_url)
    await migrate.set_app_password(superuser_url, own_cluster.app_password)
    prices = {tenant: write_accounts(tenant, tmp_path / f"{tenant}.csv") for tenant in TENANTS}
    chance = random.Random(SEED)
    plan = FaultPlan(SEED, refused_before=0.03, lost_after=0.03, cut=0.02, sends_max=3)
    async with FaultyEndpoint(aws_endpoint, plan) as endpoint:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            **embedded_aws.environment(),
            "AWS_ENDPOINT_URL": endpoint.url,
            "DATABASE_URL": own_cluster.app_url("billfleet"),
            "BILLFLEET_STACK": deployed_stack,
            "BILLFLEET_HOME": str(tmp_path / "home"),
            "BILLFLEET_POLL_WAIT_S": "1",
            "BILLFLEET_LEASE_S": "6",
            "BILLFLEET_LOG_FORMAT": "json",
        }
        for tenant in TENANTS:
            file = str(tmp_path / f"{tenant}.csv")
            await _import(own_cluster, tenant, file)
        workers = [MortalWorker(environment, tmp_path / f"worker-{n}.log") for n in range(2)]
        for worker in workers:
            await worker.start()
        sweep = ("sweep", "rebill", "--as-of", AS_OF.isoformat())
        sweeping = [asyncio.create_task(until_it_works(environment, *sweep)) for _ in range(2)]
        killed_at_work = await _torment(workers, own_cluster, chance)
        await asyncio.gather(*sweeping)
        await _until_settled(superuser_url, environment, workers, sweep)
        for worker in workers:
            await worker.drain()
    # The faults really came, and came in the middle of the work.
    assert killed_at_work >= KILLS_AT_WORK_MIN
    assert plan.counts.get("sent_again", 0) > 0
    assert plan.counts.get("lost_after", 0) > 0
    await _assert_exactly_once(superuser_url, prices)
    _assert_nothing_is_left(aws, deployed_stack)


async def _import(cluster: Cluster, tenant: str, file: str) -> None:
    async with opened(cluster.app_url("billfleet")) as database:
        report = await import_accounts(
            database, ImportRequest(path=Path(file), tenant=tenant, creates_tenant=True)
        )
    assert report.is_committed


async def _torment(workers: list[MortalWorker], cluster: Cluster, chance: random.Random) -> int:
    """Kill workers at random moments, and crash the database between two of them.

    Returns how many were killed while there was work.
    """
    killed_at_work = 0
    for number in range(KILLS):
        await asyncio.sleep(chance.uniform(0.1, 0.8))
        victim = workers[number % len(workers)]
        # While one starts again the other is at work, so somebody always is.
        await victim.started()
        killed_at_work += await _is_at_work(cluster)
        await victim.kill()
        await victim.start()
        if number == KILLS // 2:
            await asyncio.to_thread(cluster.stop)
            await asyncio.sleep(1.0)
            await asyncio.to_thread(cluster.start)
    return killed_at_work


async def _is_at_work(cluster: Cluster) -> bool:
    url = cluster.superuser_url("billfleet")
    async with opened(url) as database, database.transaction() as connection:
        return any(tenant.paid < ACCOUNTS * len(PERIODS) for tenant in await books(connection))


async def _until_settled(
    url: str, environment: Mapping[str, str], workers: list[MortalWorker], sweep: tuple[str, ...]
) -> None:
    """Go on as an operator's schedule would, until nothing is due, open or unsent."""
    expected = len(TENANTS) * ACCOUNTS * len(PERIODS)
    async with opened(url) as database, asyncio.timeout(PATIENCE_S):
        while True:
            for worker in workers:
                await worker.keep_alive()
            async with database.transaction() as connection:
                paid = sum(tenant.paid for tenant in await books(connection))
                waiting = await backlog(connection)
            if paid == expected and waiting.outbox_unsent == 0:
                return
            await until_it_works(environment, *sweep)
            await until_it_works(environment, "sweep", "collect")
            await asyncio.sleep(3.0)


async def _assert_exactly_once(url: str, prices: Mapping[str, Mapping[str, int]]) -> None:
    async with opened(url) as database, database.transaction("REPEATABLE READ") as connection:
        rows = (
            await connection.execute(
                text(
                    "SELECT kind, tenant_id, account_id, period_start, amount_minor"
                    " FROM billing.transfers ORDER BY kind, tenant_id, account_id, period_start"
                )
            )
        ).all()
        expected = [
            (kind, tenant, account, period, cents)
            for kind in ("charge", "payment")
            for tenant in TENANTS
            for account, cents in sorted(prices[tenant].items())
            for period in PERIODS
        ]
        assert [tuple(row) for row in rows] == expected
        dates = await connection.execute(
            text("SELECT DISTINCT rebilling_date, state FROM billing.accounts")
        )
        assert [tuple(row) for row in dates] == [(date(2026, 5, 31), "ACTIVE")]
        attempts = await connection.execute(
            text("SELECT state, count(*) FROM billing.attempts GROUP BY state")
        )
        assert {row[0]: row[1] for row in attempts} == {"succeeded": len(expected) // 2}
        assert await verify(connection) == []


def _assert_nothing_is_left(aws: Clients, stack: str) -> None:
    """No dead letters: every fault was one that time mends."""
    for name in ("rebill-dlq", "collect-dlq"):
        url = aws.sqs.get_queue_url(QueueName=f"{stack}-{name}")["QueueUrl"]
        answer = aws.sqs.get_queue_attributes(
            QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
        )
        assert answer["Attributes"]["ApproximateNumberOfMessages"] == "0"
