"""What was sold in a report's days: purchases as they were counted, day by day.

`figures` gathers it. The sums are those of the buckets: exact, and as they were known at the
report's instant.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db import analytics
from billfleet_db.analytics import Figure


@dataclass(frozen=True, slots=True)
class SalesDay:
    """One day's purchases."""

    day: date
    purchases: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Sales:
    """What was sold in one currency, and in the period before. `days` has every day."""

    currency: str
    purchases: int
    amount_minor: int
    previous_amount_minor: int
    days: Sequence[SalesDay]


@dataclass(frozen=True, slots=True)
class Days:
    """First and last day."""

    first: date
    last: date

    def each(self) -> Iterable[date]:
        """All of them."""
        return (self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1))


async def sales_of(
    connection: AsyncConnection,
    tenant_id: str,
    *,
    purchase: str,
    days: Days,
    previous: Days,
    as_of: datetime,
) -> list[Sales]:
    """What was sold under the name of purchases, by currency; none where nothing was."""

    async def counted(within: Days) -> list[Figure]:
        figures = await analytics.buckets.series(
            connection,
            tenant_id,
            grain="day",
            first_day=within.first,
            last_day=within.last,
            as_of=as_of,
            name=purchase,
        )
        return [figure for figure in figures if figure.currency]

    now, then = await counted(days), await counted(previous)
    return [
        _sales(
            currency,
            [one for one in now if one.currency == currency],
            sum(one.amount_minor for one in then if one.currency == currency),
            days,
        )
        for currency in sorted({figure.currency for figure in now})
    ]


def _sales(currency: str, figures: Sequence[Figure], previous_minor: int, days: Days) -> Sales:
    return Sales(
        currency=currency,
        purchases=sum(one.events for one in figures),
        amount_minor=sum(one.amount_minor for one in figures),
        previous_amount_minor=previous_minor,
        days=[
            SalesDay(
                day,
                sum(one.events for one in figures if one.starts == day),
                sum(one.amount_minor for one in figures if one.starts == day),
            )
            for day in days.each()
        ],
    )
