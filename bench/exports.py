"""Exports of a big ledger: memory of the worker, and rows a second beside `psql \\copy`.

Run it as `python bench/exports.py [--rows N] [--formats csv,parquet]`. It brings up the
embedded stack in a folder of its own, fills the ledger by SQL, and asks a worker process for each
format. The limit is `psql \\copy` of the same rows and columns into a file, before and after, in
the same run. Memory is the most that the worker's process ever held, and CPU seconds are given
for each process, because worker, PostgreSQL and the emulator that stands in for S3 share the cores.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from billfleet_contracts import ExportRequested
from billfleet_db.datasets import DATASETS, select
from billfleet_ops.local.cluster_files import programs
from billfleet_ops.local.process import pid_in
from billfleet_ops.local.stack import EmbeddedStack
from billfleet_producers import Producer
from resource_use import CpuMeter

TENANT = "bench"
DEADLINE_S = 3600.0
FILL = """
    SET session_replication_role = replica;
    -- Filling goes faster without the indexes that an export of everything does not use.
    ALTER TABLE billing.transfers DROP CONSTRAINT uq_transfers_key;
    DROP INDEX billing.ix_transfers_account, billing.ix_transfers_xact,
      billing.uq_transfers_charge_period, billing.uq_transfers_reverses;
    INSERT INTO business.tenants (tenant_id, name, currency) VALUES ('bench', 'Bench', 'EUR');
    INSERT INTO customer.customers (tenant_id, customer_id, name) VALUES ('bench', 'c', 'C');
    INSERT INTO billing.accounts (tenant_id, account_id, customer_id, amount_minor, currency,
                                  anchor_day, time_zone, rebilling_date)
      SELECT 'bench', 'acc-' || n, 'c', 2990, 'EUR', 1, 'UTC', '2026-12-01'
      FROM generate_series(1, 1000) n;
    INSERT INTO billing.ledger_accounts (tenant_id, kind, account_id, currency)
      SELECT 'bench', 'receivable', 'acc-' || n, 'EUR' FROM generate_series(1, 1000) n;
    INSERT INTO billing.ledger_accounts (tenant_id, kind, currency) VALUES ('bench', 'cash', 'EUR');
    INSERT INTO billing.transfers (tenant_id, transfer_key, kind, account_id, period_start,
                                   debit_id, credit_id, amount_minor, currency, reason, work_id,
                                   posted_at)
      SELECT 'bench', 'payment:acc-' || 1 + n % 1000 || ':' || n, 'payment',
             'acc-' || 1 + n % 1000, DATE '2020-01-01' + n % 2000, 1001, 1 + n % 1000,
             n % 100000, 'EUR', CASE WHEN n % 10 = 0 THEN 'by hand, ticket ' || n END,
             '6f1c1a52-5f2c-4d0e-9b1a-0b6f0f8f5a11',
             TIMESTAMPTZ '2020-01-01 00:00+00' + n * interval '7 seconds'
      FROM generate_series(1, {rows}) n;
    SET session_replication_role = origin;
    ANALYZE billing.transfers
"""


@dataclass
class Result:
    """All figures of one run."""

    rows: int
    psql_rows_per_s: list[float] = field(default_factory=list)
    rows_per_s: dict[str, float] = field(default_factory=dict)
    bytes_count: dict[str, int] = field(default_factory=dict)
    memory_mb_max: dict[str, float] = field(default_factory=dict)
    cpu_s: dict[str, dict[str, float]] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Everything, with the ratios."""
        limit = sum(self.psql_rows_per_s) / len(self.psql_rows_per_s)
        ratios = {name: speed / limit for name, speed in self.rows_per_s.items()}
        return {**asdict(self), "ratio": ratios}


def main(arguments: list[str]) -> None:
    """Measure once and print."""
    options = _options(arguments)
    result = Result(options.rows)
    with tempfile.TemporaryDirectory(prefix="billfleet-bench-") as folder:
        stack = EmbeddedStack(Path(folder), environ={}, stack="billfleet-bench", durable=False)
        with stack.running(fresh=True):
            assert stack.postgres is not None
            environ = {**os.environ, **stack.environment(), "BILLFLEET_HOME": folder}
            os.environ.update(stack.environment())
            _say(f"filling {options.rows} rows")
            asyncio.run(_fill(stack.postgres.url, options.rows))
            result.psql_rows_per_s.append(_psql(stack.postgres.url, Path(folder), options.rows))
            for form in options.formats.split(","):
                _export(environ, stack, form, result)
            result.psql_rows_per_s.append(_psql(stack.postgres.url, Path(folder), options.rows))
    print(json.dumps(result.as_json(), indent=2))


async def _fill(url: str, rows: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(FILL.format(rows=rows), timeout=DEADLINE_S)
    finally:
        await connection.close()


def _psql(url: str, folder: Path, rows: int) -> float:
    """Rows a second of psql, with plain text as it is."""
    query = select(DATASETS["ledger"], TENANT, columns=(), filters={}).query()
    query = query.replace("$1::text", f"'{TENANT}'")
    out = folder / "psql.csv"
    command = f"\\copy ({query}) TO '{out}' WITH (FORMAT csv, HEADER)"
    started_s = time.perf_counter()
    subprocess.run([programs() / "psql", "-q", "-c", command, url], check=True)
    speed = rows / (time.perf_counter() - started_s)
    _say(f"psql: {speed:,.0f} rows/s, {out.stat().st_size / 2**20:,.0f} MiB")
    out.unlink()
    return speed


def _export(environ: Mapping[str, str], stack: EmbeddedStack, form: str, result: Result) -> None:
    log = stack.home.root / f"worker-{form}.log"
    with log.open("wb") as words:
        command = [sys.executable, "-m", "billfleet_ops", "worker", "run", "export"]
        worker = subprocess.Popen(command, env=dict(environ), stdout=words, stderr=words)
    meter = CpuMeter(
        worker=worker.pid,
        postgres=pid_in(stack.home.pid_path("postgres")),
        ministack=pid_in(stack.home.pid_path("aws")),
    )
    try:
        export_id = str(uuid.uuid4())
        meter.start()
        asyncio.run(_ask(export_id, form))
        row = asyncio.run(_wait(environ["DATABASE_URL"], export_id))
        result.cpu_s[form] = meter.stop()
        memory_mb = _most_mb(worker.pid)
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(timeout=60)
    assert row["state"] == "ready", (row, log.read_text()[-3000:])
    assert row["rows_written"] == result.rows
    took_s = (row["finished_at"] - row["started_at"]).total_seconds()
    result.rows_per_s[form] = result.rows / took_s
    result.bytes_count[form] = row["bytes_count"]
    result.memory_mb_max[form] = memory_mb
    _say(f"{form}: {result.rows_per_s[form]:,.0f} rows/s, {memory_mb:.0f} MB at most")
    used = ", ".join(f"{name} {used_s:.1f}" for name, used_s in result.cpu_s[form].items())
    _say(f"{form}: {took_s:.1f} s, CPU s: {used}")


async def _ask(export_id: str, form: str) -> None:
    event = ExportRequested.model_validate(
        {"export_id": export_id, "dataset": "ledger", "format": form}
    )
    async with Producer(stack="billfleet-bench", source="/bench") as producer:
        await producer.send(event, tenant=TENANT)


async def _wait(url: str, export_id: str) -> "asyncpg.Record":
    connection = await asyncpg.connect(url)
    query = "SELECT * FROM fleet.exports WHERE export_id = $1"
    deadline = datetime.now(UTC).timestamp() + DEADLINE_S
    try:
        while datetime.now(UTC).timestamp() < deadline:
            row = await connection.fetchrow(query, uuid.UUID(export_id))
            if row is not None and row["finished_at"] is not None:
                return row
            await asyncio.sleep(1)
    finally:
        await connection.close()
    raise AssertionError("the export did not end")


def _most_mb(pid: int) -> float:
    """The most that a process ever held, as the kernel counts it."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _say(words: str) -> None:
    print(words, file=sys.stderr)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--formats", default="csv,parquet")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
