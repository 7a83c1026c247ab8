"""Requests for due bills per second, from the producer to the mail service; every mail once.

Run it as `python bench/mail.py [--requests N] [--tenants T] [--json]`. It brings up the embedded
stack in a folder of its own, opens accounts of T tenants with an open bill each, starts the workers
as a process of its own, and asks for due bills, every tenth request a repetition. Then it compares
what the emulated mail service took with who should have got a mail: exactly those, none twice.
Rendering is measured apart, in this process. (It is not called email.py, as the task is: that name
would stand before Python's own `email`.)
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import asyncpg

from billfleet_contracts import AccountPeriod, DueBillsRequested, RebillAccounts, wrap
from billfleet_db import Database, accounts
from billfleet_db.accounts import NewAccount
from billfleet_db.customers import Customer, upsert_customers
from billfleet_db.tenants import Tenant, ensure_tenant
from billfleet_ops.local.process import pid_in
from billfleet_ops.local.stack import EmbeddedStack
from billfleet_producers import Producer
from billfleet_workers.adapters.silent_metrics import SilentMetrics
from billfleet_workers.handlers.email.message import Addressing, compose
from billfleet_workers.handlers.email.rendering import Reader, render
from billfleet_workers.handlers.email.templates import TEMPLATES
from billfleet_workers.handlers.rebill.handler import RebillHandler
from billfleet_workers.handlers.rebill.plan import RebillLimits
from billfleet_workers.runtime.clock import SystemClock
from billfleet_workers.runtime.handling import Work
from fleet_worker import running_workers
from resource_use import CpuMeter

WORKERS = ("email-due-bills", "email", "relay")
WAITING_MAX = 1500
"""Requests on their way at once: the emulator grows slow under a deep backlog."""
RENDERED = 300
PATIENCE_S = 1200.0
POLL_S = 0.2


@dataclass
class Result:
    """All figures of one run."""

    requests: int
    tenants: int
    mails: int = 0
    duplicates: int = 0
    elapsed_s: float = 0.0
    cpu_s_per_1000_mails: dict[str, float] = field(default_factory=dict)
    render_ms: float = 0.0
    compose_ms: float = 0.0

    @property
    def mails_per_s(self) -> float:
        """From the first request sent to the last mail recorded as sent."""
        return self.mails / self.elapsed_s


def main(arguments: list[str]) -> Result:
    """Measure once and print."""
    options = _options(arguments)
    result = Result(requests=options.requests, tenants=options.tenants)
    result.render_ms, result.compose_ms = rendering_ms()
    with tempfile.TemporaryDirectory(prefix="billfleet-bench-") as folder:
        stack = EmbeddedStack(Path(folder), environ={}, stack="billfleet-bench", say=_say)
        with stack.running(fresh=True):
            environ = {**os.environ, **stack.environment(), "BILLFLEET_HOME": folder}
            environ |= {"BILLFLEET_LOG_FORMAT": "json", "BILLFLEET_AWS_CLIENT": "lean"}
            _measure(stack, environ, Path(folder), result)
    if options.json:
        shown = {**asdict(result), "mails_per_s": result.mails_per_s}
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
    else:
        _print(result)
    return result


def rendering_ms() -> tuple[float, float]:
    """CPU of this process for one mail of three bills: filling the template, and the message."""
    reader = Reader("Ada Lovelace", "en-US", "America/Chicago", "North Telecom")
    bills = [
        {"due_on": day, "period_start": day, "period_end": day, "amount_minor": 2990,
         "currency": "USD", "link": "https://pay.example/f/" + "x" * 120}
        for day in (date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1))
    ]  # fmt: skip
    now = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    variables = {
        "account_id": "NO-0001", "now": now, "bills": bills, "bills_more": 0, "links_until": now,
        "totals": [{"amount_minor": 8970, "currency": "USD"}],
    }  # fmt: skip
    addressing = Addressing("North Telecom", "billing@a.example", "Ada", "ada@b.example")
    spec = TEMPLATES["due_bills"]
    rendered = render(spec, reader, variables)
    started_s = time.process_time()
    for _ in range(RENDERED):
        rendered = render(spec, reader, variables)
    between_s = time.process_time()
    for _ in range(RENDERED):
        compose(rendered, addressing, mail_id=UUID(int=1), now=now)
    ended_s = time.process_time()
    return (
        (between_s - started_s) * 1000 / RENDERED,
        (ended_s - between_s) * 1000 / RENDERED,
    )


def asked_for(requests: int, tenants: int) -> list[tuple[str, str]]:
    """Tenant and account of each request: every tenth asks again for one asked for before."""
    asked: list[tuple[str, str]] = []
    for number in range(requests):
        if number % 10 == 9:
            asked.append(asked[number - 5])
        else:
            asked.append((f"tenant-{number % tenants:04}", f"A-{number:06}"))
    return asked


def _measure(
    stack: EmbeddedStack, environ: Mapping[str, str], folder: Path, result: Result
) -> None:
    asked = asked_for(result.requests, result.tenants)
    asyncio.run(_open_accounts(environ["DATABASE_URL"], sorted(set(asked))))
    with running_workers(environ, folder / "workers.log", WORKERS) as pid:
        meter = CpuMeter(
            postgres=pid_in(stack.home.pid_path("postgres")),
            ministack=pid_in(stack.home.pid_path("aws")),
            workers=pid,
        )
        os.environ.update(stack.environment())
        asyncio.run(_ask_and_wait(environ, asked, meter, result))
    _assert_each_once(environ["AWS_ENDPOINT_URL"], asked, result)


async def _open_accounts(url: str, wanted: Sequence[tuple[str, str]]) -> None:
    """Tenants, customers and accounts, each with the bill of this month open."""
    database = Database.connect(url, pool_size=4, statement_timeout_s=600)
    today = datetime.now(UTC).date()
    month = today.replace(day=1)
    by_tenant: dict[str, list[str]] = {}
    for tenant, account in wanted:
        by_tenant.setdefault(tenant, []).append(account)
    handler = RebillHandler(database, SystemClock(), RebillLimits(), SilentMetrics())
    for tenant, names in by_tenant.items():
        async with database.transaction() as connection:
            await ensure_tenant(connection, Tenant(tenant, f"Company {tenant}", "USD"))
            customers = [
                Customer(tenant, name, f"Customer {name}", address(tenant, name)) for name in names
            ]
            await upsert_customers(connection, customers)
            opened = [
                NewAccount(account_id=name, customer_id=name, amount_minor=2990, currency="USD",
                           anchor_day=1, interval_months=1, time_zone="UTC", rebilling_date=month)
                for name in names
            ]  # fmt: skip
            await accounts.insert(connection, tenant, opened, now=datetime.now(UTC))
        for first in range(0, len(names), 100):
            periods = tuple(
                AccountPeriod(account_id=name, period_start=month)
                for name in names[first : first + 100]
            )
            event = RebillAccounts(as_of=today, accounts=periods)
            envelope = wrap(event, tenant=tenant, source="/bench", now=datetime.now(UTC))
            await handler.handle(Work(envelope, envelope.id, 1, datetime.now(UTC), envelope.id))
    await database.close()


def address(tenant: str, account: str) -> str:
    """Where the account's mail goes."""
    return f"{account.lower()}@{tenant}.example"


async def _ask_and_wait(
    environ: Mapping[str, str],
    asked: Sequence[tuple[str, str]],
    meter: CpuMeter,
    result: Result,
) -> None:
    connection = await asyncpg.connect(environ["DATABASE_URL"])
    expected = len(set(asked))
    meter.start()
    started_s = time.perf_counter()
    async with Producer(stack=environ["BILLFLEET_STACK"], source="/bench") as producer:
        for first in range(0, len(asked), 500):
            await _until_answered(connection, first - WAITING_MAX)
            batch = [
                (DueBillsRequested(account_id=account, request_id=f"r-{first + place}"), tenant)
                for place, (tenant, account) in enumerate(asked[first : first + 500])
            ]
            (await producer.send_batch(batch)).raise_for_failures()
    await _until_answered(connection, len(asked))
    await _until(connection, "SELECT count(*) FROM mail.mails WHERE state = 'sent'", expected)
    result.elapsed_s = time.perf_counter() - started_s
    used = meter.stop()
    result.mails = await connection.fetchval("SELECT count(*) FROM mail.mails")
    result.duplicates = await connection.fetchval(
        "SELECT count(*) FROM mail.requests WHERE state = 'duplicate'"
    )
    twice = await connection.fetchval("SELECT count(*) FROM mail.mails WHERE attempts <> 1")
    await connection.close()
    assert twice == 0, f"{twice} mails were handed over more than once"
    assert result.mails == expected
    assert result.duplicates == len(asked) - expected
    result.cpu_s_per_1000_mails = {name: s * 1000 / expected for name, s in used.items()}


async def _until_answered(connection: "asyncpg.Connection[asyncpg.Record]", count: int) -> None:
    await _until(connection, "SELECT count(*) FROM mail.requests", count)


async def _until(connection: "asyncpg.Connection[asyncpg.Record]", query: str, count: int) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while (found := await connection.fetchval(query)) < count:
        assert time.monotonic() < deadline_s, f"{found} of {count} after {PATIENCE_S} s: {query}"
        await asyncio.sleep(POLL_S)


def _assert_each_once(endpoint: str, asked: Sequence[tuple[str, str]], result: Result) -> None:
    """What the mail service took is exactly who should have got a mail, each once."""
    with urllib.request.urlopen(f"{endpoint}/_ministack/ses/messages") as answer:  # noqa: S310 - ours
        messages = json.load(answer)["messages"]
    got = Counter(to for mails in messages.values() for mail in mails for to in mail["To"])
    wanted = Counter({address(tenant, account): 1 for tenant, account in set(asked)})
    assert got == wanted, f"{len(got - wanted)} too many, {len(wanted - got)} missing"
    result.mails = got.total()


def _print(result: Result) -> None:
    print(f"{result.requests} requests of {result.tenants} tenants, {result.duplicates} of them")
    print(f"repetitions: {result.mails} mails, to each who asked, to none twice")
    print(f"request to mail  {result.mails_per_s:8,.0f} mails/s  ({result.elapsed_s:.1f} s)")
    print("CPU seconds per 1,000 mails:")
    for name, cpu_s in result.cpu_s_per_1000_mails.items():
        print(f"  {name:<15} {cpu_s:8.2f}")
    print(f"rendering        {result.render_ms:8.2f} ms of CPU per mail")
    print(f"composing        {result.compose_ms:8.2f} ms of CPU per mail")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--tenants", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
