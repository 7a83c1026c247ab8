"""Sweeps with everything that they need opened from the settings.

Called by `billfleet sweep` and by whatever schedules it. A sweep only reads the database and
sends messages, so it may run anywhere, twice, and at the same time as another.
"""

from collections.abc import Callable
from datetime import date

from billfleet_producers import Producer
from billfleet_workers.handlers import rebill
from billfleet_workers.handlers.rebill import CollectReport, HorizonExceeded, SweepReport
from billfleet_workers.main.fleet_workers.rebill import rebill_limits
from billfleet_workers.main.shared import SOURCE, opened_database
from billfleet_workers.runtime.clock import SystemClock
from billfleet_workers.settings import Settings

__all__ = ["CollectReport", "HorizonExceeded", "SweepReport", "sweep_collect", "sweep_rebill"]


async def sweep_rebill(
    settings: Settings,
    *,
    as_of: date | None = None,
    tenant: str | None = None,
    dry_run: bool = False,
    progress: Callable[[SweepReport], None] = lambda _: None,
) -> SweepReport:
    """Enqueue every account that is due.

    Raises:
        HorizonExceeded: `as_of` is further ahead than the settings allow.
        billfleet_db.errors.DatabaseError: the database does not answer, or refuses us.
        billfleet_producers.ProducerError: the queue is missing or can't be reached.
    """
    async with opened_database(settings) as database, _producer(settings) as producer:
        return await rebill.sweep_rebill(
            database,
            producer,
            SystemClock(),
            as_of=as_of,
            tenant=tenant,
            limits=rebill_limits(settings),
            dry_run=dry_run,
            progress=progress,
        )


async def sweep_collect(
    settings: Settings,
    *,
    tenant: str | None = None,
    dry_run: bool = False,
    progress: Callable[[CollectReport], None] = lambda _: None,
) -> CollectReport:
    """Enqueue every bill whose next attempt has come, and every attempt to ask the gateway about.

    Raises:
        billfleet_db.errors.DatabaseError: the database does not answer, or refuses us.
        billfleet_producers.ProducerError: the queue is missing or can't be reached.
    """
    async with opened_database(settings) as database, _producer(settings) as producer:
        return await rebill.sweep_collect(
            database, producer, SystemClock(), tenant=tenant, dry_run=dry_run, progress=progress
        )


def _producer(settings: Settings) -> Producer:
    return Producer(
        stack=settings.stack,
        source=f"{SOURCE}/sweep",
        region=settings.aws_region,
        endpoint_url=settings.aws_endpoint_url,
    )
