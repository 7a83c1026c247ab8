"""Analytics for commands: its sweeps, reports on the spot, figures to show, and the recount.

Called by `billfleet analytics` and `billfleet sweep`. The figures are the workers' own, so that
what a command shows is what a report says. Each call opens what it needs and closes it again.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime

from billfleet_contracts import Event, ReportPeriod, ReportRequested
from billfleet_db import Database, analytics
from billfleet_db.analytics.buckets import Figure, Grain
from billfleet_producers import Producer, Receipt
from billfleet_workers.adapters.s3_objects import S3ObjectStore
from billfleet_workers.adapters.silent_metrics import SilentMetrics
from billfleet_workers.handlers.analytics import (
    Comparison,
    compact,
    compare,
    export_events,
    policy_of,
    rebuild,
    refresh_sketches,
    remove_replaced,
)
from billfleet_workers.handlers.analytics.activity import Activity, activities
from billfleet_workers.handlers.reports import (
    Made,
    ReportMaker,
    ReportsReport,
    first_day_of,
    last_day_of,
    name_of,
    sweep_reports,
)
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.main.shared import SOURCE, open_aws_clients, open_database
from billfleet_workers.runtime.clock import SystemClock
from billfleet_workers.runtime.ports.objects import ObjectStore
from billfleet_workers.settings import Settings

__all__ = [
    "AnalyticsReport",
    "Comparison",
    "Made",
    "ReportsReport",
    "Shown",
    "compare_tenant",
    "first_day_of",
    "last_day_of",
    "make_report",
    "name_of",
    "policy_of",
    "rebuild_tenant",
    "show",
    "sweep_analytics",
    "sweep_for_reports",
    "track",
]


@dataclass(frozen=True, slots=True)
class AnalyticsReport:
    """What the upkeep of analytics did."""

    sketches: int
    events_exported: int
    files_merged: int
    files_removed: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A series and what it adds up to, as known at `as_of`."""

    figures: Sequence[Figure]
    activities: Sequence[Activity]
    names: Sequence[str]
    as_of: datetime


async def sweep_analytics(settings: Settings) -> AnalyticsReport:
    """Make stale sketches, export events to the object store, merge small files, drop old ones.

    Raises:
        billfleet_workers.runtime.errors.Unavailable: PostgreSQL or S3 does not answer.
    """
    clock = SystemClock()
    async with _opened(settings) as (database, objects):
        return AnalyticsReport(
            sketches=await refresh_sketches(database, clock),
            events_exported=await export_events(database, objects, clock, SilentMetrics()),
            files_merged=await compact(database, objects, clock),
            files_removed=await remove_replaced(database, objects, clock),
        )


async def sweep_for_reports(
    settings: Settings,
    *,
    periods: Sequence[ReportPeriod],
    tenant: str | None = None,
    dry_run: bool = False,
    progress: Callable[[ReportsReport], None] = lambda _: None,
) -> ReportsReport:
    """Ask for every report whose days are over and that has not been made.

    Raises:
        billfleet_workers.runtime.errors.Unavailable: the database does not answer, or refuses us.
        billfleet_producers.ProducerError: the queue is missing or can't be reached.
    """
    database = open_database(settings)
    try:
        async with _producer(settings) as producer:
            return await sweep_reports(
                database,
                producer,
                SystemClock(),
                periods=periods,
                tenant=tenant,
                dry_run=dry_run,
                progress=progress,
            )
    finally:
        await database.close()


async def make_report(settings: Settings, tenant: str, asked: ReportRequested) -> Made:
    """Make a report here and now, unless it has been made.

    Raises:
        billfleet_workers.runtime.errors.Permanent: `as_of` lies in the future.
        billfleet_workers.runtime.errors.Unavailable: PostgreSQL or S3 does not answer.
    """
    async with _opened(settings) as (database, objects):
        maker = ReportMaker(
            database, objects, SystemClock(), SilentMetrics(), source=f"{SOURCE}/reports"
        )
        return await maker.make(tenant, asked)


async def read_file(settings: Settings, object_key: str) -> bytes:
    """The bytes of a file in the object store."""
    async with _opened(settings) as (_, objects):
        return await objects.get(object_key)


async def compare_tenant(settings: Settings, tenant: str) -> Comparison:
    """Compare the tenant's count with a recount of its raw files.

    Raises:
        billfleet_workers.runtime.errors.Permanent: a raw file is not what was written.
    """
    async with _opened(settings) as (database, objects):
        return await compare(database, objects, tenant)


async def rebuild_tenant(settings: Settings, tenant: str) -> int:
    """Count the tenant's events anew from raw files; returns how many buckets there are."""
    async with _opened(settings) as (database, objects):
        return await rebuild(database, objects, tenant)


async def show(
    settings: Settings,
    tenant: str,
    *,
    name: str | None,
    grain: Grain,
    first_day: date,
    last_day: date,
    as_of: datetime | None = None,
) -> Shown:
    """Counts, sums, customers and amounts of the days. `as_of` closes the books until then."""
    database, clock = open_database(settings), SystemClock()
    as_of = as_of or clock.now()
    try:
        async with transaction(database) as connection:
            await analytics.books.close(connection, as_of)
        await refresh_sketches(database, clock, tenant)
        async with transaction(database, "REPEATABLE READ") as connection:
            await analytics.see_tenant(connection, tenant)
            days = {"first_day": first_day, "last_day": last_day, "as_of": as_of, "name": name}
            return Shown(
                await analytics.buckets.series(connection, tenant, grain=grain, **days),  # type: ignore[arg-type] # as named above
                await activities(connection, tenant, **days),  # type: ignore[arg-type] # as named above
                await analytics.buckets.names(connection, tenant),
                as_of,
            )
    finally:
        await database.close()


async def track(settings: Settings, tenant: str, event: Event) -> Receipt:
    """Enqueue one event.

    Raises:
        billfleet_producers.ProducerError: the queue is missing or can't be reached.
    """
    async with _producer(settings) as producer:
        return await producer.send(event, tenant=tenant)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Database, ObjectStore]]:
    database = open_database(settings)
    try:
        clients = open_aws_clients(settings, SystemClock())
        objects = await S3ObjectStore.open(clients, bucket=settings.bucket())
        try:
            yield database, objects
        finally:
            await objects.close()
    finally:
        await database.close()


def _producer(settings: Settings) -> Producer:
    return Producer(
        stack=settings.stack,
        source=f"{SOURCE}/analytics",
        region=settings.aws_region,
        endpoint_url=settings.aws_endpoint_url,
    )
