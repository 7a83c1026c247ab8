"""Loyalty transactions per second, from the producer through SQS to committed movements.

Run it as `python bench/loyalty.py FILE.csv [--cards N] [--kills K] [--json]`; the file has the
columns customer_id, date, amount_usd. It brings up the embedded stack in a folder of its own,
replays the purchases twice with a worker process that is killed K times each, compares every lot
with the plan, and a digest of all books after the first replay with that after the second. Beside
it, in the same database, it measures the limit: the same rows of plain purchases by asyncpg alone,
a transaction each.
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
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from billfleet_ops.local.process import pid_in
from billfleet_ops.local.stack import EmbeddedStack
from billfleet_ops.purchase_plan import plan_cards, read_purchases
from resource_use import CpuMeter

TENANT = "bench"
CONNECTIONS = 8
LIMIT_CARDS = 200
LIMIT_TRANSACTIONS = 4000
TUNED = {
    "BILLFLEET_AWS_CLIENT": "lean",
    "BILLFLEET_RECEIVERS": "6",
    "BILLFLEET_IN_FLIGHT_MIN": "100",
    "BILLFLEET_IN_FLIGHT_MAX": "200",
}
"""Many cards at once: that is what transactions are shared by."""


@dataclass
class Result:
    """All figures of one run."""

    cards: int
    transactions: int
    kills: int
    cards_max: int | None
    kill_every_s: float
    rounds: list[dict[str, Any]] = field(default_factory=list)
    comparison: dict[str, Any] = field(default_factory=dict)
    cpu_s_per_1000: dict[str, float] = field(default_factory=dict)
    limit_per_s: float = 0.0

    @property
    def per_s(self) -> float:
        """Transactions a second of the first replay; the second finds everything done."""
        return self.transactions / float(self.rounds[0]["took_s"])

    def as_json(self) -> dict[str, object]:
        """Everything, with the ratio."""
        return {**asdict(self), "per_s": self.per_s, "ratio": self.per_s / self.limit_per_s}


class Worker:
    """A worker process that can be killed and comes back."""

    def __init__(self, environ: Mapping[str, str], log: Path) -> None:
        self._environ, self._log = environ, log
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "billfleet_ops", "worker", "run", "loyalty-points"]
        with self._log.open("ab") as log:
            return subprocess.Popen(command, env=dict(self._environ), stdout=log, stderr=log)

    def kill_and_replace(self) -> None:
        """No warning, no drain."""
        self.process.kill()
        self.process.wait()
        self.process = self._start()

    def stop(self) -> int:
        """Drain it; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def main(arguments: list[str]) -> None:
    """Measure once and print."""
    options = _options(arguments)
    plans = list(plan_cards(read_purchases(options.file), cards_max=options.cards))
    transactions = sum(len(plan.events) for plan in plans)
    result = Result(len(plans), transactions, options.kills, options.cards, options.kill_every)
    with tempfile.TemporaryDirectory(prefix="billfleet-bench-") as folder:
        stack = EmbeddedStack(Path(folder), environ={}, stack="billfleet-bench", say=_say)
        with stack.running(fresh=True):
            environ = {**os.environ, **stack.environment(), "BILLFLEET_HOME": folder}
            environ |= {"BILLFLEET_GATEWAY": "log", "BILLFLEET_LOG_FORMAT": "json"} | TUNED
            _replay_twice(stack, environ, Path(folder), options.file, result)
            result.limit_per_s = asyncio.run(_limit(environ["DATABASE_URL"]))
    if options.json:
        print(json.dumps(result.as_json(), indent=2))
    else:
        _print(result)


def _replay_twice(
    stack: EmbeddedStack, environ: Mapping[str, str], folder: Path, file: Path, result: Result
) -> None:
    worker = Worker(environ, folder / "worker.log")
    meter = CpuMeter(
        postgres=pid_in(stack.home.pid_path("postgres")),
        ministack=pid_in(stack.home.pid_path("aws")),
        # A killed worker takes its counters with it.
        **({} if result.kills else {"worker": worker.process.pid}),
    )
    meter.start()
    first = _replay(environ, file, worker, result)
    used = meter.stop()
    result.cpu_s_per_1000 = {name: s * 1000 / result.transactions for name, s in used.items()}
    # Past SQS's own deduplication and the dedupe table: every message meets PostgreSQL again.
    second = _replay(environ, file, worker, result, "--past-dedupe")
    result.rounds = [*first["rounds"], *second["rounds"]]
    result.comparison = first["comparison"]
    assert first["comparison"] == second["comparison"], "the second replay changed something"
    assert len({one["digest"] for one in result.rounds}) == 1, "the second replay changed something"
    assert worker.stop() == 0, (folder / "worker.log").read_text()[-2000:]


def _replay(
    environ: Mapping[str, str], file: Path, worker: Worker, result: Result, *more: str
) -> dict[str, Any]:
    command = [sys.executable, "-m", "billfleet_ops", "loyalty", "replay", str(file)]
    command += ["--tenant", TENANT, "--patience", "180", "--json", *more]
    if result.cards_max is not None:
        command += ["--cards", str(result.cards_max)]
    replay = subprocess.Popen(command, env=dict(environ), stdout=subprocess.PIPE)
    for _ in range(result.kills):
        try:
            replay.wait(timeout=result.kill_every_s)
        except subprocess.TimeoutExpired:
            worker.kill_and_replace()
    words, _ = replay.communicate()
    assert replay.returncode == 0, words.decode()
    replayed: dict[str, Any] = json.loads(words)
    return replayed


async def _limit(url: str) -> float:
    """The statements that a purchase can't do without, on several connections."""
    connections = [await asyncpg.connect(url) for _ in range(CONNECTIONS)]
    chance = random.Random(1)
    await connections[0].execute("SELECT set_config('billfleet.tenant', $1, false)", TENANT)
    cards = await connections[0].fetch(
        "SELECT card_id FROM loyalty.cards WHERE tenant_id = $1 LIMIT $2", TENANT, LIMIT_CARDS
    )
    numbers = iter(range(LIMIT_TRANSACTIONS))

    async def work(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        for number in numbers:
            await _purchase(connection, chance.choice(cards)["card_id"], f"limit-{number}")

    started_s = time.perf_counter()
    await asyncio.gather(*(work(connection) for connection in connections))
    elapsed_s = time.perf_counter() - started_s
    for connection in connections:
        await connection.close()
    return LIMIT_TRANSACTIONS / elapsed_s


async def _purchase(
    connection: "asyncpg.Connection[asyncpg.Record]", card_id: str, name: str
) -> None:
    async with connection.transaction():
        await connection.execute("SELECT set_config('billfleet.tenant', $1, true)", TENANT)
        await connection.execute(
            "SELECT FROM loyalty.cards WHERE tenant_id = $1 AND card_id = $2 FOR NO KEY UPDATE",
            TENANT,
            card_id,
        )
        await connection.execute(
            "INSERT INTO loyalty.transactions (tenant_id, transaction_id, card_id, programme_id, "
            "kind, state, request_hash, work_id, occurred_at, recorded_at) "
            "VALUES ($1, $2, $3, 'replay', 'points', 'done', '', $2, now(), now())",
            TENANT,
            name,
            card_id,
        )
        await connection.execute(
            "INSERT INTO loyalty.lots (tenant_id, lot_id, card_id, priority, issued, remaining, "
            "issued_at, available_at) VALUES ($1, $2, $3, 100, 10, 10, now(), now())",
            TENANT,
            name,
            card_id,
        )
        await connection.execute(
            "INSERT INTO loyalty.movements (tenant_id, card_id, transaction_id, lot_id, kind, "
            "quantity, moved_at) VALUES ($1, $2, $3, $3, 'issue', 10, now())",
            TENANT,
            card_id,
            name,
        )
        await connection.execute(
            "INSERT INTO fleet.outbox (tenant_id, event_id, event_type, route_kind, route_name, "
            "dedupe_key, body) VALUES ($1, $2, 'limit', 'topic', 'events', $2, repeat('x', 600))",
            TENANT,
            name,
        )


def _print(result: Result) -> None:
    print(f"{result.cards} cards, {result.transactions} transactions, {result.kills} kills")
    first_s, again_s = (one["took_s"] for one in result.rounds)
    print(f"producer to ledger {result.per_s:10,.0f} transactions/s ({first_s:.1f} s)")
    print(f"all of it again    {again_s:10,.1f} s, past dedupe, and no book has changed")
    print(f"limit, plain SQL   {result.limit_per_s:10,.0f} purchases/s")
    print(f"fleet/limit        {result.per_s / result.limit_per_s:10.2f}")
    print("CPU seconds per 1,000 transactions:")
    for name, cpu_s in result.cpu_s_per_1000.items():
        print(f"  {name:<15} {cpu_s:10.3f}")
    print(f"compared: {json.dumps(result.comparison)}")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE.csv")
    parser.add_argument("--cards", type=int, default=None)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--kill-every", type=float, default=4.0, metavar="SECONDS")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
