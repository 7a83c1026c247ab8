"""The warnings sweep: announces points that end soon, once for each window of their programme.

`billfleet sweep loyalty-warnings` runs it through `main`. A page of warnings is written down and
put into the outbox in one transaction; run twice, or at the same time, nobody is warned twice.
What the mail says is not its matter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from billfleet_contracts import PointsExpiring
from billfleet_db import Database, loyalty, outbox
from billfleet_db.loyalty import ExpiringPoints
from billfleet_workers.dates import local_today
from billfleet_workers.handlers.outbox_rows import outbox_row
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock

PAGE_WARNINGS = 500
_JUST_BEFORE = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class WarningReport:
    """What the sweep found."""

    warnings: int = 0
    points: int = 0
    is_dry_run: bool = False


async def sweep_warnings(
    database: Database,
    clock: Clock,
    *,
    tenant: str | None = None,
    dry_run: bool = False,
    source: str = "/billfleet/sweep",
    page_max: int = PAGE_WARNINGS,
    progress: Callable[[WarningReport], None] = lambda _: None,
) -> WarningReport:
    """Announce what ends soon and was not announced yet, or only count it."""
    report = WarningReport(is_dry_run=dry_run)
    after = loyalty.warnings.BEGINNING
    while True:
        now = clock.now()
        async with transaction(database) as connection:
            await loyalty.see_tenant(connection, tenant or loyalty.ALL_TENANTS)
            page = await loyalty.warnings.due(
                connection, at=now, tenant_id=tenant, after=after, limit=page_max
            )
            given = page
            if page and not dry_run:
                given = await loyalty.warnings.give(connection, page, now=now)
                rows = [
                    outbox_row(
                        announcement(one),
                        tenant=one.tenant_id,
                        source=source,
                        now=now,
                        traceparent=None,
                    )
                    for one in given
                ]
                await outbox.add(connection, rows)
        points = report.points + sum(one.points for one in given)
        report = WarningReport(report.warnings + len(given), points, dry_run)
        progress(report)
        if len(page) < page_max:
            return report
        after = (page[-1].tenant_id, page[-1].card_id, page[-1].expires_at)


def announcement(points: ExpiringPoints) -> PointsExpiring:
    """What subscribers are told."""
    return PointsExpiring(
        card_id=points.card_id,
        customer_id=points.customer_id,
        programme_id=points.programme_id,
        points=points.points,
        expires_on=local_today(points.expires_at - _JUST_BEFORE, points.time_zone),
        expires_at=points.expires_at,
        warn_days=points.warn_days,
    )
