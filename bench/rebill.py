"""Accounts rebilled per second, from `billfleet sweep rebill` to the committed ledger.

Run it as `python bench/rebill.py [--accounts N] [--workers NAME…] [--json]`. It brings up the
embedded stack in a folder of its own, imports accounts, starts the worker and the sweep as
processes of their own, as typed, and measures beside them, in the same run and database, the
limit: the same rows written by asyncpg alone. It asserts that every account was billed once.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from billfleet_db import Database
from billfleet_db.verify import verify
from billfleet_ops.csv_import import ImportRequest, import_accounts
from billfleet_ops.local.process import pid_in
from billfleet_ops.local.stack import EmbeddedStack
from fleet_worker import running_workers
from rebill_limit import PER_MESSAGE, Limit, measure_limits
from resource_use import CpuMeter, cpu_of_child

TENANT = "bench"
PATIENCE_S = 600.0
POLL_S = 0.2


@dataclass
class Result:
    """All figures of one run."""

    accounts: int
    workers: list[str]
    import_s: float = 0.0
    sweep_s: float = 0.0
    rebill_s: float = 0.0
    flow_s: float = 0.0
    """From the first commit to the last: without the start of the sweep's interpreter."""
    cpu_s_per_1000: dict[str, float] = field(default_factory=dict)
    limits: list[Limit] = field(default_factory=list)

    @property
    def accounts_per_s(self) -> float:
        """The figure: accounts from the start of the sweep to the last commit."""
        return self.accounts / self.rebill_s

    @property
    def flow_accounts_per_s(self) -> float:
        """Accounts from the first message's commit to the last one's."""
        return max(self.accounts - PER_MESSAGE, 0) / self.flow_s

    def as_json(self) -> dict[str, object]:
        """Everything, with the ratios to each limit."""
        limits = [
            {**asdict(limit), "accounts_per_s": limit.accounts_per_s,
             "fleet_ratio": self.accounts_per_s / limit.accounts_per_s}
            for limit in self.limits
        ]  # fmt: skip
        return {**asdict(self), "accounts_per_s": self.accounts_per_s,
                "flow_accounts_per_s": self.flow_accounts_per_s, "limits": limits}  # fmt: skip


def main(arguments: list[str]) -> None:
    """Measure once and print."""
    options = _options(arguments)
    result = Result(accounts=options.accounts, workers=options.workers)
    with tempfile.TemporaryDirectory(prefix="billfleet-bench-") as folder:
        stack = EmbeddedStack(Path(folder), environ={}, stack="billfleet-bench", say=_say)
        with stack.running(fresh=True):
            environ = {**os.environ, **stack.environment(), "BILLFLEET_HOME": folder}
            environ |= {"BILLFLEET_GATEWAY": "log", "BILLFLEET_LOG_FORMAT": "json"}
            _measure(stack, environ, Path(folder), result)
    if options.json:
        sys.stdout.write(json.dumps(result.as_json(), indent=2) + "\n")
    else:
        _print(result)


def _measure(
    stack: EmbeddedStack, environ: Mapping[str, str], folder: Path, result: Result
) -> None:
    url, path = environ["DATABASE_URL"], folder / "accounts.csv"
    rows = (f"A-{number:07},{number % 9000 + 1000}.00" for number in range(result.accounts))
    path.write_text("\n".join(["account_id,amount", *rows]))
    result.import_s = asyncio.run(_bring_in(url, path, result.accounts))
    with running_workers(environ, folder / "worker.log", result.workers) as worker_pid:
        meter = CpuMeter(
            postgres=pid_in(stack.home.pid_path("postgres")),
            ministack=pid_in(stack.home.pid_path("aws")),
            worker=worker_pid,
        )
        asyncio.run(_sweep_and_wait(url, environ, meter, result))
    asyncio.run(_assert_billed_once(url, result.accounts))
    result.limits = asyncio.run(measure_limits(url, TENANT, result.accounts))


async def _bring_in(url: str, path: Path, count: int) -> float:
    today = datetime.now(UTC).date()
    constants = {"currency": "USD", "rebilling_date": today.isoformat(), "time_zone": "UTC"}
    request = ImportRequest(path=path, tenant=TENANT, constants=constants)
    database = Database.connect(url, pool_size=1, statement_timeout_s=600)
    started_s = time.perf_counter()
    report = await import_accounts(database, request)
    elapsed_s = time.perf_counter() - started_s
    await database.close()
    assert report.taken_over.inserted == count
    return elapsed_s


async def _sweep_and_wait(
    url: str, environ: Mapping[str, str], meter: CpuMeter, result: Result
) -> None:
    """Time runs from the start of the sweep's process to the last commit of the worker."""
    connection = await asyncpg.connect(url)
    commits_s: list[float] = []

    def note_commit(*_: object) -> None:
        commits_s.append(time.perf_counter())

    # Every transaction that bills also writes to the outbox, which announces its commits.
    await connection.add_listener("billfleet_outbox", note_commit)
    meter.start()
    started_s = time.perf_counter()
    status, sweep_cpu_s = await asyncio.to_thread(_sweep, environ)
    result.sweep_s = time.perf_counter() - started_s
    assert status == 0, "the sweep failed"
    await _until_billed(connection, result.accounts)
    result.rebill_s = commits_s[-1] - started_s
    result.flow_s = commits_s[-1] - commits_s[0]
    used = {"sweep": sweep_cpu_s, **meter.stop()}
    await connection.close()
    result.cpu_s_per_1000 = {name: s * 1000 / result.accounts for name, s in used.items()}


def _sweep(environ: Mapping[str, str]) -> tuple[int, float]:
    command = [sys.executable, "-m", "billfleet_ops", "sweep", "rebill"]
    return cpu_of_child(subprocess.Popen(command, env=dict(environ), stdout=subprocess.DEVNULL))


async def _until_billed(connection: "asyncpg.Connection[asyncpg.Record]", count: int) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        billed = await connection.fetchval(
            "SELECT count(*) FROM billing.bills WHERE tenant_id = $1", TENANT
        )
        if billed >= count:
            # The notification of the last commit may still be on its way.
            await asyncio.sleep(POLL_S)
            return
        assert time.monotonic() < deadline_s, f"{billed} of {count} billed after {PATIENCE_S} s"
        await asyncio.sleep(POLL_S)


async def _assert_billed_once(url: str, count: int) -> None:
    database = Database.connect(url, pool_size=1, statement_timeout_s=600)
    connection = await asyncpg.connect(url)
    charged = await connection.fetchrow(
        "SELECT count(*) AS rows, count(DISTINCT account_id) AS accounts FROM billing.transfers"
        " WHERE tenant_id = $1 AND kind = 'charge'",
        TENANT,
    )
    await connection.close()
    assert charged is not None
    assert charged["rows"] == charged["accounts"] == count
    async with database.transaction("REPEATABLE READ") as transaction:
        assert await verify(transaction, TENANT) == []
    await database.close()


def _print(result: Result) -> None:
    print(f"{result.accounts} accounts, workers: {', '.join(result.workers)}, gateway: log")
    print(f"import            {result.accounts / result.import_s:10,.0f} accounts/s")
    print(f"sweep to ledger   {result.accounts_per_s:10,.0f} accounts/s  ({result.rebill_s:.2f} s,")
    print(f"                             of which the sweep's process {result.sweep_s:.2f} s)")
    print(f"first to last commit {result.flow_accounts_per_s:7,.0f} accounts/s")
    for limit in result.limits:
        whole = result.accounts_per_s / limit.accounts_per_s
        flow = result.flow_accounts_per_s / limit.accounts_per_s
        shown = f"fleet/limit {whole:.2f}, first to last commit {flow:.2f}"
        print(f"{limit.name:<17} {limit.accounts_per_s:10,.0f} accounts/s  {shown}")
    print("CPU seconds per 1,000 accounts:")
    for name, cpu_s in result.cpu_s_per_1000.items():
        print(f"  {name:<15} {cpu_s:10.3f}")
    print(f"  {'all':<15} {sum(result.cpu_s_per_1000.values()):10.3f}")
    for limit in result.limits:
        print(f"  {limit.name:<15} {limit.cpu_s_per_1000:10.3f}")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--workers", nargs="+", default=["rebill"], metavar="NAME")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
