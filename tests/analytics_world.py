"""Tenants and events for tests of analytics, and what a test reads back.

Everything goes through the same doors as in production. Time stands still unless a test moves it.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from billfleet_contracts import Envelope, Event, EventTracked, wrap
from billfleet_db import Database, analytics
from billfleet_db.analytics import Bucket, Figure, Quarantined
from billfleet_db.tenants import Tenant, ensure_tenant
from billfleet_workers.handlers.analytics import AnalyticsHandler
from billfleet_workers.runtime.handling import Finished, Work
from loyalty_world import WallClock
from rebill_world import CountingMetrics

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class World:
    """One database, one clock, and the analytics handler over both."""

    def __init__(self, database: Database, *, tenant: str = "acme") -> None:
        self.database = database
        self.tenant = tenant
        self.clock = WallClock()
        self.metrics = CountingMetrics()
        self.handler = AnalyticsHandler(database, self.clock, self.metrics)
        self._numbers = itertools.count(1)

    async def seed(self, *tenants: str, time_zone: str = "UTC", currency: str = "EUR") -> None:
        """Create the tenants; the world's own without arguments."""
        async with self.database.transaction() as connection:
            for tenant in tenants or (self.tenant,):
                await ensure_tenant(connection, Tenant(tenant, tenant.title(), currency, time_zone))

    async def set_policy(self, **policy: object) -> None:
        async with self.database.transaction() as connection:
            await analytics.see_tenant(connection, self.tenant)
            await analytics.books.counting_of(connection, [self.tenant])
            await analytics.books.set_policy(connection, self.tenant, policy)

    def event(self, occurred_at: datetime | None = None, **given: Any) -> EventTracked:
        """A purchase, unless the test says otherwise."""
        said: dict[str, Any] = {
            "name": "purchase",
            "event_id": f"e-{next(self._numbers)}",
            "source": "till",
            "occurred_at": occurred_at or self.clock.now(),
            "customer_id": "c-1",
            "amount_minor": 1000,
            "currency": "EUR",
        }
        return EventTracked(**(said | given))

    def work(self, event: Event, tenant: str | None = None) -> Work:
        envelope = wrap(event, tenant=tenant or self.tenant, source="/test", now=self.clock.now())
        return self.delivery(envelope)

    def delivery(self, envelope: Envelope) -> Work:
        return Work(envelope, "m", 1, self.clock.now(), "token")

    async def send(self, *events: Event, tenant: str | None = None) -> list[str]:
        """Hand the events over as one batch; returns what became of each."""
        works = [self.work(event, tenant) for event in events]
        return [noted(result) for result in await self.handler.handle_batch(works)]

    async def buckets(self, tenant: str | None = None) -> list[Bucket]:
        tenant = tenant or self.tenant
        async with self.database.transaction() as connection:
            await analytics.see_tenant(connection, tenant)
            return await analytics.buckets.all_of(connection, tenant)

    async def recount(self, tenant: str | None = None) -> list[Bucket]:
        tenant = tenant or self.tenant
        async with self.database.transaction() as connection:
            await analytics.see_tenant(connection, tenant)
            return await analytics.buckets.recount(connection, tenant)

    async def quarantine(self) -> list[Quarantined]:
        async with self.database.transaction() as connection:
            await analytics.see_tenant(connection, analytics.ALL_TENANTS)
            return await analytics.events.quarantined(connection, None, 1000)

    async def close(self, as_of: datetime) -> None:
        async with self.database.transaction() as connection:
            await analytics.books.close(connection, as_of)

    async def series(
        self, first: date, last: date, as_of: datetime, *, grain: Any = "day", **more: Any
    ) -> list[Figure]:
        async with self.database.transaction() as connection:
            await analytics.see_tenant(connection, self.tenant)
            return await analytics.buckets.series(
                connection,
                self.tenant,
                grain=grain,
                first_day=first,
                last_day=last,
                as_of=as_of,
                **more,
            )


def noted(result: Finished | Exception) -> str:
    """The one word of a result."""
    if isinstance(result, Exception):
        return type(result).__name__
    (word,) = result.note
    return word


def of_any_tenant(buckets: Iterable[Bucket]) -> list[Bucket]:
    """The buckets without their tenant, to compare those of two."""
    return [replace(one, key=replace(one.key, tenant_id="")) for one in buckets]


def shares(items: Sequence[Any], cuts: Sequence[int]) -> list[Sequence[Any]]:
    """The items in pieces that end at the cuts."""
    edges = [0, *sorted(cut % (len(items) + 1) for cut in cuts), len(items)]
    return [items[a:b] for a, b in itertools.pairwise(edges) if a < b]
