"""The reports sweep: asks for the report of every tenant's last whole day, week or month.

`billfleet sweep reports` runs it through `main`, as often as one likes: a report that was made is
not asked for again, and what is asked for twice is made once. A period is over when it is over on
the tenant's own clock.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from billfleet_contracts import ReportPeriod, ReportRequested
from billfleet_db import Database, analytics
from billfleet_db.tenants import Tenant, all_tenants
from billfleet_producers import Producer
from billfleet_workers.dates import UnknownZone, local_today
from billfleet_workers.handlers.reports.making import report_id_of
from billfleet_workers.handlers.reports.periods import before
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock


@dataclass(frozen=True, slots=True)
class ReportsReport:
    """What the sweep found: tenants looked at, reports asked for, and those that were made."""

    tenants: int = 0
    asked: int = 0
    made_before: int = 0
    failed: int = 0
    reasons: Sequence[str] = ()
    is_dry_run: bool = False


async def sweep_reports(
    database: Database,
    producer: Producer,
    clock: Clock,
    *,
    periods: Sequence[ReportPeriod],
    tenant: str | None = None,
    dry_run: bool = False,
    progress: Callable[[ReportsReport], None] = lambda _: None,
) -> ReportsReport:
    """Ask for every report whose days are over and that has not been made."""
    async with transaction(database) as connection:
        found = [one for one in await all_tenants(connection) if tenant in (None, one.tenant_id)]
    wanted: list[tuple[str, ReportRequested]] = []
    made_before, reasons = 0, list[str]()
    for one in found:
        for period in periods:
            try:
                asked = await _due(database, clock, one, period)
            except UnknownZone as error:
                reasons.append(f"{one.tenant_id}: {error}")
                break
            made_before += asked is None
            if asked is not None:
                wanted.append((one.tenant_id, asked))
        progress(ReportsReport(len(found), len(wanted), made_before, 0, (), dry_run))
    failed = len(reasons)
    if wanted and not dry_run:
        report = await producer.send_batch(
            producer.prepare(asked, tenant=tenant_id) for tenant_id, asked in wanted
        )
        failed += len(report.failed)
        reasons += sorted({str(failure.error) for failure in report.failed})
    return ReportsReport(len(found), len(wanted), made_before, failed, tuple(reasons), dry_run)


async def _due(
    database: Database, clock: Clock, tenant: Tenant, period: ReportPeriod
) -> ReportRequested | None:
    """The request for the last period that is over; None where its report has been made."""
    async with transaction(database) as connection:
        await analytics.see_tenant(connection, tenant.tenant_id)
        counting = await analytics.books.counting_of(connection, [tenant.tenant_id])
        zone = counting[tenant.tenant_id].time_zone
        first_day = before(period, local_today(clock.now(), zone))
        asked = ReportRequested(period=period, first_day=first_day)
        made = await analytics.reports.get(connection, tenant.tenant_id, report_id_of(asked))
    return None if made else asked
