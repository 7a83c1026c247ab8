"""What counting an event costs, beside a plain COPY of the same rows; and if the count is right.

Run it as `python bench/analytics.py [--events N] [--tenants T] [--through-sqs M] [--json]`. It
brings up the embedded stack in a folder of its own, counts N events of T tenants (1 % sent twice,
5 % late) in batches, exports them as Parquet, and compares every bucket with what DuckDB says of
the files. Beside it, in the same database, it copies the same rows into a table without an index.
With --through-sqs, M more events go through the queue to a worker process, a few thousand at once.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import asyncpg
import duckdb

from billfleet_contracts import EventTracked, decode, encode, wrap
from billfleet_db import Database
from billfleet_ops.local.stack import EmbeddedStack
from billfleet_producers import Producer
from billfleet_workers.adapters.memory_objects import MemoryObjectStore
from billfleet_workers.adapters.silent_metrics import SilentMetrics
from billfleet_workers.handlers.analytics import AnalyticsHandler, compact, export_events
from billfleet_workers.runtime.clock import SystemClock
from billfleet_workers.runtime.handling import Finished, Work
from resource_use import cpu_of_child

BATCH = 500
NAMES = ("purchase", "visit", "basket", "search")
BACKLOG_MAX = 2000
COPIED_MAX = 200_000
COLUMNS = (
    "tenant_id, source, event_id, payload_hash, name, occurred_at, stored_at, hour_start,"
    " local_day, brand_id, store_id, customer_id, amount_minor, currency, properties"
)

_ROWS = f"SELECT {COLUMNS} FROM analytics.events"  # noqa: S608 - a constant above


@dataclass
class Result:
    """All figures of one run."""

    events: int
    tenants: int
    sent: int = 0
    counted: int = 0
    duplicates: int = 0
    intake_s: float = 0.0
    intake_cpu_s_per_1000: float = 0.0
    copied: int = 0
    copy_s: float = 0.0
    copy_cpu_s_per_1000: float = 0.0
    export_s: float = 0.0
    files: int = 0
    buckets: int = 0
    differing_buckets: int = -1
    sqs_events: int = 0
    sqs_s: float = 0.0
    sqs_cpu_s_per_1000: float = 0.0

    def as_json(self) -> dict[str, object]:
        """Everything, with rates and the ratio."""
        return {
            **asdict(self),
            "intake_per_s": round(self.sent / self.intake_s),
            "copy_per_s": round(self.copied / self.copy_s),
            "times_a_plain_copy": round(self.intake_s / self.sent / (self.copy_s / self.copied), 1),
            "sqs_per_s": round(self.sqs_events / self.sqs_s) if self.sqs_s else None,
        }


def bodies(
    events: int, tenants: int, now: datetime, prefix: str = "e"
) -> Iterator[tuple[str, str]]:
    """Message bodies with their tenants: 1 % twice, 5 % up to three days late."""
    chance = random.Random(events)
    for number in range(events):
        late = timedelta(days=chance.uniform(0.5, 3)) if chance.random() < 0.05 else timedelta()
        name = NAMES[min(int(chance.expovariate(1)), 3)]
        is_purchase = name == "purchase"
        tenant = f"t-{chance.randrange(tenants)}"
        event = EventTracked(
            name=name,
            event_id=f"{prefix}-{number}",
            source="till",
            occurred_at=now - late - timedelta(seconds=chance.randrange(3600)),
            customer_id=f"c-{chance.randrange(5000)}",
            store_id=f"s-{chance.randrange(3)}",
            amount_minor=int(500 * chance.paretovariate(1.3)) if is_purchase else None,
            currency="EUR" if is_purchase else None,
            properties={"basket": number % 7, "channel": "till"},
        )
        body = encode(wrap(event, tenant=tenant, source="/bench", now=now))
        yield tenant, body
        if chance.random() < 0.01:
            yield tenant, body


async def count_all(database: Database, result: Result, now: datetime) -> None:
    """Decode and count everything, as the worker does, without the queue."""
    clock = SystemClock()
    handler = AnalyticsHandler(database, clock, SilentMetrics())
    source = bodies(result.events, result.tenants, now)
    while batch := list(islice(source, BATCH)):
        # Making the events is not what is measured.
        started, cpu_started = time.perf_counter(), time.process_time()
        works = [Work(decode(body), "m", 1, now, "t") for _, body in batch]
        for done in await handler.handle_batch(works):
            assert isinstance(done, Finished), done
            result.counted += int(done.note.get("counted", 0))
            result.duplicates += int(done.note.get("duplicate", 0))
        result.intake_s += time.perf_counter() - started
        result.intake_cpu_s_per_1000 += time.process_time() - cpu_started
        result.sent += len(batch)
    result.intake_cpu_s_per_1000 *= 1000 / result.sent


async def copy_all(url: str, result: Result) -> None:
    """The same rows into a table without an index."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(f"{_ROWS} LIMIT {COPIED_MAX}")
        records = [tuple(row) for row in rows]
        await connection.execute(f"CREATE TABLE plain_copy AS {_ROWS} WHERE false")
        started, cpu_started = time.perf_counter(), time.process_time()
        names = [name.strip() for name in COLUMNS.split(",")]
        await connection.copy_records_to_table("plain_copy", records=records, columns=names)
        result.copy_s = time.perf_counter() - started
        result.copied = len(records)
        used_s = time.process_time() - cpu_started
        result.copy_cpu_s_per_1000 = used_s * 1000 / len(records)
    finally:
        await connection.close()


async def export_all(database: Database, folder: Path, result: Result) -> None:
    """Raw files, as they would lie in S3, on disk for DuckDB."""
    clock = SystemClock()
    objects = MemoryObjectStore(clock)
    started = time.perf_counter()
    exported = 0
    while exported < result.counted:
        # PostgreSQL's own upkeep may hold a transaction open, and what follows it waits.
        exported += await export_events(database, objects, clock, SilentMetrics())
    while await compact(database, objects, clock):
        pass
    result.export_s = time.perf_counter() - started
    assert exported == result.counted, (exported, result.counted)
    async with database.transaction() as connection:
        from billfleet_db import analytics

        await analytics.see_tenant(connection, analytics.ALL_TENANTS)
        live = await analytics.raw_files.live(connection)
    for file in live:
        path = folder / file.object_key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(objects.objects[file.object_key].body)
    result.files = len(live)


async def compare_all(url: str, folder: Path, result: Result) -> None:
    """Every bucket against what DuckDB says of the files."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            """SELECT tenant_id, name, extract(epoch FROM hour_start)::bigint, store_id, currency,
                      sum(events)::bigint, sum(amount_minor)::bigint
               FROM analytics.buckets GROUP BY 1, 2, 3, 4, 5"""
        )
    finally:
        await connection.close()
    counted = {tuple(row) for row in rows}
    files = f"{folder}/raw/*/*/*.parquet"
    said = duckdb.execute(
        """SELECT tenant, name, CAST(epoch(date_trunc('hour', occurred_at)) AS bigint), store_id,
                   currency, count(*), CAST(coalesce(sum(amount_minor), 0) AS bigint)
            FROM read_parquet(?, hive_partitioning = true)
            GROUP BY ALL""",
        [files],
    ).fetchall()
    result.buckets = len(counted)
    result.differing_buckets = len(counted ^ set(said))


async def through_sqs(environ: dict[str, str], url: str, result: Result) -> None:
    """Send to the queue while a worker process counts; never much more than it can hold."""
    log = Path(environ["BILLFLEET_HOME"]) / "analytics.log"
    before = await _stored(url)
    worker = _worker(environ, log)
    now, started = datetime.now(UTC), time.perf_counter()
    items = [
        (decode(body).data, tenant)
        for tenant, body in bodies(result.sqs_events, result.tenants, now, prefix="q")
    ]
    async with Producer(
        stack=environ["BILLFLEET_STACK"],
        source="/bench",
        region="us-east-1",
        endpoint_url=environ["AWS_ENDPOINT_URL"],
    ) as producer:
        for start in range(0, len(items), BATCH):
            part: Sequence[tuple[EventTracked, str]] = items[start : start + BATCH]  # type: ignore[assignment] # all of them are
            report = await producer.send_batch(
                producer.prepare(event, tenant=tenant) for event, tenant in part
            )
            report.raise_for_failures()
            await _until_stored(url, before + start + len(part) - BACKLOG_MAX)
    await _until_stored(url, before + result.sqs_events)
    result.sqs_s = time.perf_counter() - started
    worker.send_signal(signal.SIGTERM)
    code, used_s = await asyncio.to_thread(cpu_of_child, worker)
    assert code == 0, f"the worker ended with {code}: see {log}"
    result.sqs_cpu_s_per_1000 = used_s * 1000 / len(items)


def _worker(environ: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "billfleet_ops", "worker", "run", "analytics"]
    with log.open("ab") as stream:
        return subprocess.Popen(command, env=environ, stdout=stream, stderr=stream)


async def _until_stored(url: str, count: int) -> None:
    """Wait for another process; there is nothing to be woken by."""
    while await _stored(url) < count:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.05)


async def _stored(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM analytics.events"))
    finally:
        await connection.close()


async def measure(environ: dict[str, str], owner_url: str, folder: Path, result: Result) -> None:
    """Everything, one after the other."""
    connection = await asyncpg.connect(owner_url)
    await connection.execute(
        """INSERT INTO business.tenants (tenant_id, name, currency)
           SELECT 't-' || n, 'Tenant ' || n, 'EUR' FROM generate_series(0, $1 - 1) AS n""",
        result.tenants,
    )
    await connection.close()
    database = Database.connect(environ["DATABASE_URL"], pool_size=4, statement_timeout_s=600)
    try:
        await count_all(database, result, datetime.now(UTC))
        await export_all(database, folder, result)
        await compare_all(owner_url, folder, result)
        await copy_all(owner_url, result)
    finally:
        await database.close()
    if result.sqs_events:
        await through_sqs(environ, owner_url, result)


def main(arguments: list[str]) -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--tenants", type=int, default=1000)
    parser.add_argument("--through-sqs", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    result = Result(options.events, options.tenants, sqs_events=options.through_sqs)
    with tempfile.TemporaryDirectory(prefix="billfleet-bench-") as folder:
        stack = EmbeddedStack(Path(folder), environ={}, stack="billfleet-bench", say=_say)
        with stack.running(fresh=True):
            environ = {**os.environ, **stack.environment(), "BILLFLEET_HOME": folder}
            environ |= {"BILLFLEET_IN_FLIGHT_MAX": "500", "BILLFLEET_RECEIVERS": "6"}
            os.environ.update(environ)  # where the producer finds its credentials
            owner_url = environ["MIGRATION_DATABASE_URL"]
            asyncio.run(measure(environ, owner_url, Path(folder), result))
    said = result.as_json()
    if options.json:
        print(json.dumps(said, indent=2))
    else:
        for name, value in said.items():
            print(
                f"{name:>24}  {value:,.3f}" if isinstance(value, float) else f"{name:>24}  {value}"
            )
    assert result.differing_buckets == 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
