"""Analytics workers that are killed in the middle of a batch: each event is counted once."""

import asyncio
import json
import os
import random
import sys
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web
from sqlalchemy import text

from analytics_world import World
from billfleet_contracts import EventTracked, encode, wrap
from billfleet_db import Database, analytics
from billfleet_ops.clients import Clients
from faulty_endpoint import FaultPlan, FaultyEndpoint

EVENTS = 300
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
ZONES = {"acme": "Asia/Kathmandu", "shop": "Europe/Berlin"}

Key = tuple[str, str, datetime, str, str]
Count = Mapping[Key, tuple[int, int]]


class HoldsCompletions(FaultyEndpoint):
    """Lets everything through but the record of work that is done: that call gets no answer."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream, FaultPlan(seed=1))
        self.holds = asyncio.Event()

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        if b"counted" in body:
            self.holds.set()
            await asyncio.Event().wait()
        return await super()._forward(request, body)


def happenings(now: datetime) -> Iterator[tuple[str, EventTracked]]:
    """Of two tenants; one in ten is days late."""
    chance = random.Random(3)
    for number in range(EVENTS):
        late = timedelta(days=chance.uniform(1, 4)) if number % 10 == 0 else timedelta()
        is_purchase = chance.random() < 0.5
        yield (
            chance.choice(list(ZONES)),
            EventTracked(
                name="purchase" if is_purchase else "visit",
                event_id=f"e-{number}",
                source="till",
                occurred_at=now - late - timedelta(minutes=chance.randrange(300)),
                store_id=chance.choice(("s-1", "s-2")),
                amount_minor=chance.randrange(10_000) if is_purchase else None,
                currency="EUR" if is_purchase else None,
            ),
        )


def right_count(events: Sequence[tuple[str, EventTracked]]) -> Count:
    """What must be counted: by the full hour that the tenant's clock showed."""
    times: Counter[Key] = Counter()
    sums: Counter[Key] = Counter()
    for tenant, event in events:
        local = event.occurred_at.astimezone(ZoneInfo(ZONES[tenant]))
        hour = local.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
        key = (tenant, event.name, hour, event.store_id or "", event.currency or "")
        times[key] += 1
        sums[key] += event.amount_minor or 0
    return {key: (times[key], sums[key]) for key in times}


def send(aws: Clients, url: str, events: Sequence[tuple[str, EventTracked]], now: datetime) -> None:
    """Each event; every seventh message twice, every ninth event again in one of its own."""
    bodies = []
    for number, (tenant, event) in enumerate(events):
        body = encode(wrap(event, tenant=tenant, source="/test", now=now))
        bodies += [body] * (2 if number % 7 == 0 else 1)
        if number % 9 == 0:
            bodies.append(encode(wrap(event, tenant=tenant, source="/test", now=now)))
    random.Random(4).shuffle(bodies)
    for first in range(0, len(bodies), 10):
        batch = enumerate(bodies[first : first + 10])
        aws.sqs.send_message_batch(
            QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": body} for n, body in batch]
        )


async def counted(database: Database) -> Count:
    """What was counted, whenever it became known."""
    found: dict[Key, tuple[int, int]] = {}
    async with database.transaction() as connection:
        await analytics.see_tenant(connection, analytics.ALL_TENANTS)
        for tenant in ZONES:
            for one in await analytics.buckets.all_of(connection, tenant):
                key = (tenant, one.key.name, one.key.hour_start, one.key.store_id, one.key.currency)
                times, amount_minor = found.get(key, (0, 0))
                found[key] = (times + one.events, amount_minor + one.amount_minor)
    return found


@pytest.fixture
def environment(
    database_url: str, aws_environment: dict[str, str], deployed_stack: str, tmp_path: Path
) -> dict[str, str]:
    """An installation whose dead workers' messages come back soon."""
    return {
        **os.environ,
        **aws_environment,
        "DATABASE_URL": database_url,
        "BILLFLEET_STACK": deployed_stack,
        "BILLFLEET_HOME": str(tmp_path / "home"),
        "BILLFLEET_LOG_FORMAT": "json",
        "BILLFLEET_LEASE_S": "3",
        "BILLFLEET_POLL_WAIT_S": "1",
        "BILLFLEET_IN_FLIGHT_MIN": "100",
    }


@asynccontextmanager
async def worker(environment: Mapping[str, str], log: Path) -> AsyncIterator[Process]:
    """A worker process; killed on the way out unless it has ended."""
    with log.open("ab") as words:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "billfleet_ops", "worker", "run", "analytics"),
            env=dict(environment),
            stdout=words,
            stderr=words,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(happened: Callable[[], Awaitable[object]]) -> None:
    """Look at other processes until they have come so far."""
    async with asyncio.timeout(40):
        while not await happened():  # noqa: ASYNC110 - nothing in here would wake us
            await asyncio.sleep(0.05)


async def kill_in_the_transaction(
    environment: Mapping[str, str], database: Database, superuser: Database, log: Path
) -> None:
    """A worker that has begun to store its batch, and never commits."""

    async def waits() -> object:
        async with superuser.transaction() as connection:
            query = text(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            )
            return (await connection.execute(query)).scalar_one()

    async with worker(environment, log), database.transaction() as connection:
        await analytics.books.hold(connection)
        await until(waits)


async def kill_after_the_commit(environment: Mapping[str, str], log: Path) -> None:
    """A worker that has counted its batch and dies before anybody else knows."""
    async with (
        HoldsCompletions(environment["AWS_ENDPOINT_URL"]) as endpoint,
        worker({**environment, "AWS_ENDPOINT_URL": endpoint.url}, log),
    ):
        await asyncio.wait_for(endpoint.holds.wait(), 40)


async def test_each_event_is_counted_once_though_workers_are_killed_in_their_batches(
    environment: dict[str, str],
    database: Database,
    superuser_database: Database,
    deployed_stack: str,
    aws: Clients,
    tmp_path: Path,
) -> None:
    """R71, R73, R75: before the commit, after it, and with two at once; late and twice as well."""
    world, now, log = World(database), datetime.now(UTC), tmp_path / "log"
    for tenant, zone in ZONES.items():
        await world.seed(tenant, time_zone=zone)
    events = list(happenings(now))
    url = aws.sqs.get_queue_url(QueueName=f"{deployed_stack}-analytics")["QueueUrl"]
    send(aws, url, events, now)

    await kill_in_the_transaction(environment, database, superuser_database, log)
    assert await counted(database) == {}
    await kill_after_the_commit(environment, log)
    first = sum(times for times, _ in (await counted(database)).values())
    assert 0 < first < EVENTS

    async def is_done() -> bool:
        said = await asyncio.to_thread(
            aws.sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["All"]
        )
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return all(said["Attributes"][name] == "0" for name in names)  # type: ignore[index] # as AWS says

    last = tmp_path / "last"
    async with worker(environment, last) as one, worker(environment, last) as other:
        await until(is_done)
        for process in (one, other):
            process.terminate()
        assert [await process.wait() for process in (one, other)] == [0, 0], last.read_text()[-999:]

    assert await counted(database) == right_count(events)
    for tenant in ZONES:
        assert await world.buckets(tenant) == await world.recount(tenant)
    again = [json.loads(line) for line in last.read_text().splitlines() if '"done"' in line]
    refused = [line for line in again if line["receive_count"] > 1 and "duplicate" in line["note"]]
    assert len(refused) >= first, "what the killed worker had counted came again and was refused"
    assert aws.sqs.get_queue_attributes(
        QueueUrl=f"{url}-dlq", AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"] == {"ApproximateNumberOfMessages": "0"}
