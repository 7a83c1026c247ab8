"""What counting an event costs, beside a plain COPY of the same rows; and if the count is right.

Run it as `python bench/analytics.py [--events N] [--tenants T] [--through-sqs] [--json]`. It brings
up the embedded stack in a folder of its own and counts N events of T tenants (1 % sent twice, 5 %
late): in batches given to the handler, or with --through-sqs by a worker process behind the queue,
with a process of its own that sends. They are exported to the stack's S3 as Parquet, and every
bucket is compared with what DuckDB says of the files and with what was sent. Beside it, in the same
database, the same rows are copied into a table without an index. It fails where a bucket differs.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import asyncpg

import analytics_check as check
from analytics_sender import Backlog
from analytics_traffic import BRAND_OF, right_count, traffic, with_copies
from billfleet_contracts import decode, encode, wrap
from billfleet_db import Database, analytics
from billfleet_ops.local.process import pid_in
from billfleet_ops.local.stack import EmbeddedStack
from billfleet_workers.adapters.s3_objects import S3ObjectStore
from billfleet_workers.adapters.silent_metrics import SilentMetrics
from billfleet_workers.handlers.analytics import AnalyticsHandler, compact, export_events
from billfleet_workers.main.shared import open_aws_clients
from billfleet_workers.runtime.clock import SystemClock
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.settings import Settings
from resource_use import CpuMeter

BATCH = 500
COPIED_MAX = 200_000
LOOK_EVERY_S = 1.0
SAY_EVERY_S = 15.0
PAGE_EVENTS = 250_000
"""One export writes a file per tenant and day: the more events, the fewer small files."""
STUCK_S = 180.0
TUNED = {
    "BILLFLEET_RECEIVERS": "8",
    "BILLFLEET_IN_FLIGHT_MIN": "200",
    "BILLFLEET_IN_FLIGHT_MAX": "400",
    "BILLFLEET_LOG_FORMAT": "json",
}
"""Many events at once: that is what a transaction is shared by."""
COLUMNS = (
    "tenant_id, source, event_id, payload_hash, name, occurred_at, stored_at, hour_start,"
    " local_day, brand_id, store_id, customer_id, amount_minor, currency, properties"
)
_ROWS = f"SELECT {COLUMNS} FROM analytics.events"  # noqa: S608 - a constant above
_SIZE = "SELECT pg_total_relation_size('analytics.events')"


@dataclass
class Result:
    """All figures of one run."""

    events: int
    tenants: int
    through: str
    sent: int = 0
    counted: int = 0
    seconds: float = 0.0
    cpu_s_per_1000: dict[str, float] = field(default_factory=dict)
    load: dict[str, Sequence[float]] = field(default_factory=dict)
    bytes_per_event: float = 0.0
    copied: int = 0
    copy_s: float = 0.0
    export_s: float = 0.0
    files: int = 0
    buckets: int = 0
    differing_from_files: int = -1
    differing_from_sent: int = -1

    @property
    def is_right(self) -> bool:
        """Whether every bucket is what it should be, and none is missing."""
        return (self.differing_from_files, self.differing_from_sent) == (0, 0)

    def as_json(self) -> dict[str, object]:
        """Everything, with rates and the ratio."""
        per_s, copy_per_s = self.counted / self.seconds, self.copied / self.copy_s
        return {
            **asdict(self),
            "per_s": round(per_s),
            "copy_per_s": round(copy_per_s),
            "times_a_plain_copy": round(copy_per_s / per_s, 1),
            "is_right": self.is_right,
        }


@dataclass(frozen=True)
class Bench:
    """One run: where it happens and what comes of it."""

    stack: EmbeddedStack
    environ: dict[str, str]
    folder: Path
    now: datetime
    result: Result

    @property
    def owner_url(self) -> str:
        """PostgreSQL as the superuser."""
        return self.environ["MIGRATION_DATABASE_URL"]

    def meter(self, **pids: int) -> CpuMeter:
        """CPU of the servers, and of these processes."""
        servers = {name: pid_in(self.stack.home.pid_path(name)) for name in ("postgres", "aws")}
        return CpuMeter(**servers, **pids)

    def note_cpu(self, used_s: dict[str, float]) -> None:
        """Per thousand events."""
        self.result.cpu_s_per_1000 = {
            name: round(s * 1000 / self.result.events, 3) for name, s in used_s.items()
        }


async def seed(bench: Bench) -> None:
    """Tenants in UTC, each with two brands and three stores."""
    connection = await asyncpg.connect(bench.owner_url)
    try:
        await connection.execute(
            """INSERT INTO business.tenants (tenant_id, name, currency)
               SELECT 't-' || n, 'Tenant ' || n, 'EUR' FROM generate_series(0, $1 - 1) AS n""",
            bench.result.tenants,
        )
        await connection.execute(
            """INSERT INTO business.brands (tenant_id, brand_id, name)
               SELECT tenant_id, b, b FROM business.tenants, unnest(ARRAY['b-0', 'b-1']) AS b"""
        )
        await connection.execute(
            """INSERT INTO business.stores (tenant_id, store_id, brand_id, name)
               SELECT tenant_id, s, b, s
               FROM business.tenants, unnest($1::text[], $2::text[]) AS g(s, b)""",
            list(BRAND_OF),
            list(BRAND_OF.values()),
        )
    finally:
        await connection.close()


def bodies(bench: Bench) -> Iterator[str]:
    """Message bodies, second copies among them."""
    result = bench.result
    for one, _ in with_copies(traffic(result.events, result.tenants, bench.now)):
        yield encode(wrap(one.event(), tenant=one.tenant, source="/bench", now=bench.now))


async def count_by_hand(bench: Bench, database: Database) -> None:
    """Decode and count everything, as the worker does, without the queue."""
    handler = AnalyticsHandler(database, SystemClock(), SilentMetrics())
    source, result, own_cpu_s = bodies(bench), bench.result, 0.0
    meter = bench.meter()
    meter.start()
    while batch := list(islice(source, BATCH)):
        # Making the events is not what is measured.
        started, cpu_started = time.perf_counter(), time.process_time()
        works = [Work(decode(body), "m", 1, bench.now, "t") for body in batch]
        for done in await handler.handle_batch(works):
            assert isinstance(done, Finished), done
        result.seconds += time.perf_counter() - started
        own_cpu_s += time.process_time() - cpu_started
        result.sent += len(batch)
    bench.note_cpu({"handler": own_cpu_s, **meter.stop()})


async def count_through_sqs(bench: Bench) -> None:
    """Send to the queue with one process while another counts."""
    log = bench.folder / "analytics.log"
    worker = _start(bench, log, "-m", "billfleet_ops", "worker", "run", "analytics")
    asked = (str(bench.result.events), str(bench.result.tenants), bench.now.isoformat())
    sender = _start(bench, log, str(Path(__file__).with_name("analytics_sender.py")), *asked)
    meter, started = bench.meter(worker=worker.pid), time.perf_counter()
    meter.start()
    try:
        await _until_counted(bench, worker, sender, log)
        bench.result.seconds = time.perf_counter() - started
        bench.note_cpu(meter.stop())
        _say("all are counted; second copies may still be in the queue")
        backlog = Backlog(bench.stack.stack)
        while backlog.depth():  # noqa: ASYNC110 - the worker is another process
            await asyncio.sleep(LOOK_EVERY_S)
    finally:
        for process in (sender, worker):
            process.terminate()
    codes = [await asyncio.to_thread(process.wait, 60) for process in (sender, worker)]
    assert codes == [0, 0], f"sender and worker ended with {codes}: see {log}"
    sent = with_copies(traffic(bench.result.events, bench.result.tenants, bench.now))
    bench.result.sent = sum(1 for _ in sent)


def _start(bench: Bench, log: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    with log.open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, *arguments], env=bench.environ, stdout=stream, stderr=stream
        )


async def _until_counted(
    bench: Bench,
    worker: "subprocess.Popen[bytes]",
    sender: "subprocess.Popen[bytes]",
    log: Path,
) -> None:
    """Say how it goes until everything is counted; other processes do it, so look now and then."""
    connection = await asyncpg.connect(bench.owner_url)
    try:
        began = moved_at = said_at = time.perf_counter()
        counted, wanted = 0, bench.result.events
        while counted < wanted or sender.poll() is None:
            await asyncio.sleep(LOOK_EVERY_S)
            before, counted = (
                counted,
                await connection.fetchval(
                    "SELECT coalesce(sum(events), 0)::bigint FROM analytics.buckets"
                ),
            )
            at = time.perf_counter()
            moved_at = at if counted > before else moved_at
            assert worker.poll() is None, f"the worker has ended: see {log}"
            assert not sender.poll(), f"the sender has failed: see {log}"
            assert at - moved_at < STUCK_S, f"nothing was counted for {STUCK_S:.0f} s: see {log}"
            if at - said_at > SAY_EVERY_S:
                said_at = at
                load = os.getloadavg()[0]
                _say(f"{counted:,} of {wanted:,}, {counted / (at - began):,.0f}/s, load {load:.1f}")
    finally:
        await connection.close()


async def copy_all(bench: Bench) -> None:
    """The same rows into a table without an index."""
    connection = await asyncpg.connect(bench.owner_url)
    try:
        records = [tuple(r) for r in await connection.fetch(f"{_ROWS} LIMIT {COPIED_MAX}")]
        await connection.execute(f"CREATE TABLE plain_copy AS {_ROWS} WHERE false")
        names = [name.strip() for name in COLUMNS.split(",")]
        started = time.perf_counter()
        await connection.copy_records_to_table("plain_copy", records=records, columns=names)
        bench.result.copy_s = time.perf_counter() - started
        bench.result.copied = len(records)
        size = int(await connection.fetchval(_SIZE))
        bench.result.bytes_per_event = round(size / bench.result.counted, 1)
    finally:
        await connection.close()


async def export_all(bench: Bench, database: Database) -> None:
    """Raw files in S3, merged, and a copy of the live ones on disk for DuckDB."""
    clock, started = SystemClock(), time.perf_counter()
    async with AsyncExitStack() as closing:
        settings = Settings()
        clients = open_aws_clients(settings, clock)
        objects = await S3ObjectStore.open(clients, bucket=settings.bucket())
        closing.push_async_callback(objects.close)
        exported, stored = 0, await check.stored(bench.owner_url)
        while exported < stored:
            # PostgreSQL's own upkeep may hold a transaction open, and what follows it waits.
            exported += await export_events(
                database, objects, clock, SilentMetrics(), page_events=PAGE_EVENTS
            )
            _say(f"{exported:,} exported")
        while merged := await compact(database, objects, clock):
            _say(f"{merged:,} files merged")
        bench.result.export_s = time.perf_counter() - started
        async with database.transaction() as connection:
            await analytics.see_tenant(connection, analytics.ALL_TENANTS)
            live = await analytics.raw_files.live(connection)
        for file in live:
            path = bench.folder / file.object_key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(await objects.get(file.object_key))
    bench.result.files = len(live)


async def measure(bench: Bench) -> None:
    """Everything, one after the other."""
    result = bench.result
    await seed(bench)
    result.load["before"] = os.getloadavg()
    database = Database.connect(bench.environ["DATABASE_URL"], pool_size=4, statement_timeout_s=600)
    try:
        if result.through == "sqs":
            await count_through_sqs(bench)
        else:
            await count_by_hand(bench, database)
        result.load["after"] = os.getloadavg()
        counted = await check.buckets(bench.owner_url)
        result.counted, result.buckets = sum(int(str(row[-2])) for row in counted), len(counted)
        right = right_count(result.events, result.tenants, bench.now)
        result.differing_from_sent = check.differing_from(right, counted)
        _say(f"{result.counted:,} counted; {result.differing_from_sent} buckets differ from sent")
        await copy_all(bench)
        await export_all(bench, database)
        result.differing_from_files = check.differing(counted, check.of_files(bench.folder))
    finally:
        await database.close()


def main(arguments: list[str]) -> int:
    """Measure once and print; 1 where a bucket differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--tenants", type=int, default=1000)
    parser.add_argument("--through-sqs", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    through = "sqs" if options.through_sqs else "handler"
    result = Result(options.events, options.tenants, through)
    with tempfile.TemporaryDirectory(prefix="billfleet-bench-") as folder:
        stack = EmbeddedStack(Path(folder), environ={}, stack="billfleet-bench", say=_say)
        with stack.running(fresh=True):
            environ = {**os.environ, **stack.environment(), "BILLFLEET_HOME": folder, **TUNED}
            os.environ.update(environ)  # where clients find their credentials
            asyncio.run(measure(Bench(stack, environ, Path(folder), datetime.now(UTC), result)))
    said = result.as_json()
    if options.json:
        print(json.dumps(said, indent=2))
    else:
        for name, value in said.items():
            shown = f"{value:,.3f}" if isinstance(value, float) else value
            print(f"{name:>22}  {shown}")
    return 0 if result.is_right else 1


def _say(line: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
