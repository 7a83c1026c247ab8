"""What happened in some days, by name: how often, by how many customers, for how much.

Reports and `billfleet analytics show` read it. Counts and sums are exact; customers and quantiles
come from merged sketches and their stated errors. Whoever asks has had the sketches refreshed.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db import analytics
from billfleet_workers.handlers.analytics.sketching import Crowd, Spread

QUANTILES = (0.5, 0.95)


@dataclass(frozen=True, slots=True)
class Activity:
    """One name in one currency; '' is the currency of events without an amount."""

    name: str
    currency: str
    events: int
    amount_minor: int
    customers: int
    median_minor: int | None
    p95_minor: int | None


async def activities(
    connection: AsyncConnection,
    tenant_id: str,
    *,
    first_day: date,
    last_day: date,
    as_of: datetime,
    name: str | None = None,
) -> list[Activity]:
    """What happened in the days as it was known then, the most frequent first."""
    figures = await analytics.buckets.series(
        connection,
        tenant_id,
        grain="day",
        first_day=first_day,
        last_day=last_day,
        as_of=as_of,
        name=name,
    )
    totals: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for figure in figures:
        total = totals[figure.name, figure.currency]
        total[0] += figure.events
        total[1] += figure.amount_minor
    found = []
    for each in sorted({one for one, _ in totals}):
        crowds, spreads = await _sketched(connection, tenant_id, each, first_day, last_day, as_of)
        for (one, currency), (events, amount_minor) in totals.items():
            if one == each:
                median, p95 = spreads[currency].quantiles_minor(QUANTILES)
                customers = crowds[currency].customers
                found.append(Activity(one, currency, events, amount_minor, customers, median, p95))
    return sorted(found, key=lambda one: (-one.events, one.name, one.currency))


async def _sketched(
    connection: AsyncConnection,
    tenant_id: str,
    name: str,
    first_day: date,
    last_day: date,
    as_of: datetime,
) -> tuple[dict[str, Crowd], dict[str, Spread]]:
    stored, tail = await analytics.sketches.within(
        connection, tenant_id, name, first_day=first_day, last_day=last_day, as_of=as_of
    )
    crowds: dict[str, Crowd] = defaultdict(Crowd)
    spreads: dict[str, Spread] = defaultdict(Spread)
    for sketch in stored:
        crowds[sketch.key.currency].merge(sketch.customers)
        spreads[sketch.key.currency].merge(sketch.amounts)
    for currency, events in _by_currency(tail).items():
        crowds[currency].add(event.customer_id for event in events if event.customer_id)
        spreads[currency].add(
            event.amount_minor for event in events if event.amount_minor is not None
        )
    return crowds, spreads


def _by_currency(
    tail: Sequence[analytics.sketches.TailEvent],
) -> dict[str, list[analytics.sketches.TailEvent]]:
    grouped: dict[str, list[analytics.sketches.TailEvent]] = defaultdict(list)
    for event in tail:
        grouped[event.currency].append(event)
    return grouped
