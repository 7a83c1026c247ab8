"""What happens in `billfleet demo`, from the import to the audit.

The command starts the embedded stack and shows what comes back. Everything here goes through the
doors that an operator uses: the CSV import, the sweeps, the fleet.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from time import monotonic
from typing import Any

from billfleet_db import Database
from billfleet_db.figures import TenantBooks, backlog, books
from billfleet_db.seals import seal
from billfleet_db.verify import Finding, verify
from billfleet_ops.csv_import import ImportRequest, import_accounts
from billfleet_ops.demo_accounts import PERIODS, TENANTS, accounts_of, write_csv
from billfleet_ops.demo_encore import Achieved, all_right, play_encore
from billfleet_ops.errors import OpsError
from billfleet_workers.settings import Settings

STUCK_AFTER_S = 60.0
LOOK_EVERY_S = 0.15

Say = Callable[[str], None]
OnProgress = Callable[[int, int, int], None]
"""Called with periods billed, periods paid, and events that still wait to be sent."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What the demo did, against what the list of accounts says it should have done."""

    accounts: int
    periods: int
    sweep_messages: int
    seconds: float
    tenants: list[TenantBooks]
    expected_minor: dict[str, int]
    findings: list[Finding]
    drain_adds_up: bool
    achieved: list[Achieved]

    @property
    def is_right(self) -> bool:
        """Every period billed and paid once, to the unit, a clean audit and a clean drain."""
        billed = {tenant.tenant_id: tenant.charged_minor for tenant in self.tenants}
        paid = {tenant.tenant_id: tenant.paid_minor for tenant in self.tenants}
        counted = sum(tenant.periods for tenant in self.tenants)
        return (
            billed == paid == self.expected_minor
            and counted == self.periods
            and not self.findings
            and all_right(self.achieved)
            and self.drain_adds_up
        )


async def play(settings: Settings, say: Say, on_progress: OnProgress) -> Summary:
    """Import, sweep twice at once, watch until all is billed and paid, audit."""
    from billfleet_workers.main import (
        WORKERS,
        configure_logs,
        open_database,
        run_fleet,
        sweep_rebill,
    )

    database = open_database(settings)
    stop, ready = asyncio.Event(), asyncio.Event()
    log = (settings.home / "fleet.log").open("w", encoding="utf-8")
    configure_logs(settings.log_format, settings.log_level, log)
    fleet = asyncio.create_task(run_fleet(settings, list(WORKERS), ready=ready.set, stop=stop))
    accounts = sum(tenant.accounts for tenant in TENANTS)
    try:
        today = datetime.now(UTC).date()
        expected_minor = await _import_all(database, settings.home, today)
        await _unless_ended(fleet, ready.wait())
        say(f"{accounts:,} accounts of {len(TENANTS)} tenants are {PERIODS} months behind.")
        say("Two sweeps run at the same time, as if a schedule had fired twice.")
        started_s = monotonic()
        # A fixed day: on the last of a month the time zones would not agree on what is due.
        as_of = today.replace(day=1)
        reports = await asyncio.gather(
            sweep_rebill(settings, as_of=as_of), sweep_rebill(settings, as_of=as_of)
        )
        await _unless_ended(fleet, _watch(database, accounts * PERIODS, on_progress))
        seconds = monotonic() - started_s
        say("Now the rest of the fleet: mails, points, events and an export, each asked for twice.")
        achieved = await play_encore(settings, database)
        tenants, findings = await _audit(database)
    finally:
        stop.set()
        with suppress(Exception):
            await asyncio.wait([fleet])
        log.close()
        await database.close()
    return Summary(
        accounts=accounts,
        periods=accounts * PERIODS,
        sweep_messages=sum(report.sent.messages for report in reports),
        seconds=seconds,
        tenants=tenants,
        expected_minor=expected_minor,
        findings=findings,
        drain_adds_up=fleet.result().adds_up,
        achieved=achieved,
    )


async def _import_all(database: Database, folder: Path, today: date) -> dict[str, int]:
    """Write and import each tenant's file; returns what each should be charged in all."""
    expected_minor = {}
    for tenant in TENANTS:
        accounts = accounts_of(tenant)
        path = folder / f"{tenant.tenant}.csv"
        write_csv(tenant, accounts, today, path)
        report = await import_accounts(
            database, ImportRequest(path=path, tenant=tenant.tenant, creates_tenant=True)
        )
        if not report.is_committed:
            raise OpsError(
                f"The demo's own file was refused: {report.bad_rows[:3]}",
                where=str(path),
                remedy="This is a defect of ours; please report it.",
            )
        expected_minor[tenant.tenant] = PERIODS * sum(a.amount_minor for a in accounts)
    return expected_minor


async def _watch(database: Database, periods: int, on_progress: OnProgress) -> None:
    """Look until everything is billed, paid and sent."""
    seen, changed_s = (-1, -1, -1), monotonic()
    while True:
        async with database.transaction() as connection:
            tenants = await books(connection)
            unsent = (await backlog(connection)).outbox_unsent
        now = (sum(t.periods for t in tenants), sum(t.paid for t in tenants), unsent)
        on_progress(*now)
        if now[0] >= periods and now[1] >= periods and unsent == 0:
            return
        if now != seen:
            seen, changed_s = now, monotonic()
        elif monotonic() - changed_s > STUCK_AFTER_S:
            raise OpsError(
                f"Nothing has moved for {STUCK_AFTER_S:.0f} s: {now[0]} of {periods} billed, "
                f"{now[1]} paid, {unsent} events to be sent",
                where="billfleet demo",
                remedy="Read fleet.log in the demo's folder; on a very busy machine, try again.",
            )
        await asyncio.sleep(LOOK_EVERY_S)


async def _audit(database: Database) -> tuple[list[TenantBooks], list[Finding]]:
    """Seal the ledger, then recompute everything about it."""
    for tenant in TENANTS:
        async with database.transaction() as connection:
            await seal(connection, tenant.tenant)
    async with database.transaction("REPEATABLE READ") as connection:
        return await books(connection), await verify(connection)


async def _unless_ended(
    fleet: "asyncio.Task[Any]", step: Coroutine[Any, Any, Any] | Awaitable[Any]
) -> None:
    """Wait for a step, but not for ever when the fleet has died."""
    waiting = asyncio.ensure_future(step)
    await asyncio.wait([fleet, waiting], return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()
        fleet.result()
        raise OpsError(
            "The fleet stopped in the middle of the demo",
            where="billfleet demo",
            remedy="Read fleet.log in the demo's folder.",
        )
    waiting.result()
