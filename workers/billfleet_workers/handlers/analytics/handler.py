"""The analytics worker: a batch of events is stored and counted in one transaction.

The runtime calls it with whatever it has in hand. What makes an event count once is its row, and
the row commits with the count (R71); the order in which events come, and how they are batched,
changes nothing (R73). It knows neither the queue nor the object store.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db import Database, analytics
from billfleet_db.analytics import Counting, EventKey, NewEvent, Quarantined
from billfleet_workers.dates import UnknownZone, zone_of
from billfleet_workers.handlers.analytics.admitting import AdmissionPolicy, policy_of, why_not
from billfleet_workers.handlers.analytics.tracked import Tracked, tracked
from billfleet_workers.handlers.analytics.wall_clock import place
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Permanent
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.ports.metrics import Metrics

BATCH_MAX = 500
OTHER_PAYLOAD = "other_payload"


@dataclass(frozen=True, slots=True)
class _Rules:
    """How one tenant's events are counted."""

    policy: AdmissionPolicy
    zone: ZoneInfo


class AnalyticsHandler:
    """Counts events, each once."""

    batch_max = BATCH_MAX

    def __init__(self, database: Database, clock: Clock, metrics: Metrics) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics

    async def handle_batch(self, works: Sequence[Work]) -> Sequence[Finished | Exception]:
        """Count these events in one transaction; the answer is aligned.

        Raises:
            Unavailable: PostgreSQL can't be reached.
            Transient: another transaction was in the way.
        """
        events = [tracked(work.envelope) for work in works]
        async with transaction(self._database) as connection:
            await analytics.see_tenant(connection, analytics.ALL_TENANTS)
            results = await self._count(connection, events)
        counted = Counter(result for result in results if isinstance(result, str))
        for result, times in counted.items():
            self._metrics.count("events_tracked", times, result=result)
        return [Finished({one: 1}) if isinstance(one, str) else one for one in results]

    async def _count(
        self, connection: AsyncConnection, events: Sequence[Tracked]
    ) -> list[str | Exception]:
        """What became of each: `counted`, `duplicate`, a reason of quarantine, or an error."""
        tenants = {event.tenant_id for event in events}
        now = self._clock.now()
        stored_at = await analytics.books.open_for_storing(connection, now)
        counting = await analytics.books.counting_from(connection, tenants, stored_at)
        rules = {one: _rules(counting.get(one), one) for one in tenants}
        customers = await _customers(connection, events)
        results: list[str | Exception] = []
        rows: list[NewEvent | None] = []
        refused: list[Quarantined] = []
        for event in events:
            rule = rules[event.tenant_id]
            if isinstance(rule, Permanent):
                results.append(rule)
                rows.append(None)
                continue
            row = _row(event, rule.zone, customers)
            reason = why_not(event, rule.policy, now)
            results.append(reason or "counted")
            rows.append(None if reason else row)
            if reason:
                refused.append(_refused(row, reason, now))
        await self._store(connection, rows, results, refused, stored_at)
        return results

    async def _store(
        self,
        connection: AsyncConnection,
        rows: Sequence[NewEvent | None],
        results: list[str | Exception],
        refused: list[Quarantined],
        stored_at: datetime,
    ) -> None:
        """Store what is new; correct the results of what was there already."""
        first = _first_of_each(rows)
        new = await analytics.events.store(connection, list(first.values()), stored_at)
        again = {
            row.key for row in rows if row and (row.key not in new or row is not first[row.key])
        }
        known = await analytics.events.known(connection, sorted(again))
        for position, row in enumerate(rows):
            if row is None or (row.key in new and row is first[row.key]):
                continue
            payload_hash, kept = known[row.key]
            if row.payload_hash == payload_hash:
                results[position] = "duplicate"
                continue
            results[position] = OTHER_PAYLOAD
            refused.append(_refused(row, OTHER_PAYLOAD, stored_at, kept))
        await analytics.events.quarantine(connection, refused)


def _first_of_each(rows: Sequence[NewEvent | None]) -> dict[EventKey, NewEvent]:
    """Of events that share a key in one batch, the first; the others are told apart from it."""
    first: dict[EventKey, NewEvent] = {}
    for row in rows:
        if row is not None:
            first.setdefault(row.key, row)
    return first


async def _customers(
    connection: AsyncConnection, events: Sequence[Tracked]
) -> Mapping[tuple[str, str, str], str]:
    asked = {
        (event.tenant_id, *event.owner)
        for event in events
        if event.owner is not None and event.customer_id is None
    }
    return await analytics.events.customers_of(connection, sorted(asked))


def _rules(counting: Counting | None, tenant_id: str) -> "_Rules | Permanent":
    """How the tenant's events are counted, or why they can't be; others are not held up."""
    if counting is None:
        return Permanent(f"there is no tenant {tenant_id}")
    try:
        return _Rules(policy_of(counting.policy), zone_of(counting.time_zone))
    except (ValueError, UnknownZone) as error:
        return Permanent(f"tenant {tenant_id} can't be counted: {error}")


def _row(event: Tracked, zone: ZoneInfo, customers: Mapping[tuple[str, str, str], str]) -> NewEvent:
    hour_start, local_day = place(event.occurred_at, zone)
    customer_id = event.customer_id
    if customer_id is None and event.owner is not None:
        customer_id = customers.get((event.tenant_id, *event.owner))
    return NewEvent(
        tenant_id=event.tenant_id,
        source=event.source,
        event_id=event.event_id,
        payload_hash=event.payload_hash,
        name=event.name,
        occurred_at=event.occurred_at,
        hour_start=hour_start,
        local_day=local_day,
        brand_id=event.brand_id,
        store_id=event.store_id,
        customer_id=customer_id,
        amount_minor=event.amount_minor,
        currency=event.currency,
        properties=event.properties,
    )


def _refused(row: NewEvent, reason: str, now: datetime, kept: str | None = None) -> Quarantined:
    return Quarantined(
        tenant_id=row.tenant_id,
        source=row.source,
        event_id=row.event_id,
        payload_hash=row.payload_hash,
        reason=reason,
        refused=analytics.events.as_json(row),
        kept=kept,
        refused_at=now,
    )
