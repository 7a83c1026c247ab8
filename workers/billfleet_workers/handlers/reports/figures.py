"""What a report says, as values: read from the database, small groups hidden.

The reports handler gathers it, the pages are made of it. Everything is as it was known at one
instant: the books are closed until then, and then read in one snapshot (R74).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import ReportPeriod
from billfleet_db import analytics
from billfleet_db.analytics.business import Collection, MoneyDay, Movement, PointsFigures, Span
from billfleet_db.analytics.customers import (
    CohortCell,
    Purchases,
    Risk,
    Segment,
    StoreFigures,
)
from billfleet_db.tenants import Tenant
from billfleet_workers.handlers.analytics import AdmissionPolicy
from billfleet_workers.handlers.analytics.activity import Activity, activities
from billfleet_workers.handlers.analytics.wall_clock import day_start
from billfleet_workers.handlers.reports.periods import (
    ONE_DAY,
    before,
    last_day_of,
    months_before,
    name_of,
)
from billfleet_workers.handlers.reports.privacy import hidden
from billfleet_workers.handlers.reports.sales import Days, Sales, sales_of

COHORT_MONTHS: Final = 12


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which report: of which tenant and days, as of when, by which rules."""

    tenant: Tenant
    time_zone: str
    policy: AdmissionPolicy
    period: ReportPeriod
    first_day: date
    as_of: datetime

    @property
    def last_day(self) -> date:
        """The last of its days."""
        return last_day_of(self.period, self.first_day)

    @property
    def title(self) -> str:
        """What it is called."""
        return f"{self.tenant.name}: {name_of(self.period, self.first_day)}"


@dataclass(frozen=True, slots=True)
class CurrencyFigures:
    """What was earned in one currency. `days` has every day of the period."""

    currency: str
    revenue_minor: int
    previous_revenue_minor: int
    collected_minor: int
    days: Sequence[MoneyDay]
    movement: Movement | None
    collection: Collection | None


@dataclass(frozen=True, slots=True)
class Cohort:
    """Customers who first bought in a month, and how many came back in each later month.

    None: too few to say, or the month is not over.
    """

    month: date
    customers: int | None
    returned: Sequence[int | None]


@dataclass(frozen=True, slots=True)
class Insights:
    """What is known of customers from their purchases; a hidden group has no figures."""

    segments: Sequence[Segment]
    segments_hidden: Sequence[str]
    risks: Sequence[Risk]
    risks_hidden: Sequence[str]
    cohorts: Sequence[Cohort]
    stores: Sequence[StoreFigures]
    stores_hidden: int


@dataclass(frozen=True, slots=True)
class BusinessReport:
    """The whole report."""

    wanted: Wanted
    currencies: Sequence[CurrencyFigures]
    sales: Sequence[Sales]
    points: Sequence[PointsFigures]
    activities: Sequence[Activity]
    insights: Insights


async def gather(connection: AsyncConnection, wanted: Wanted) -> BusinessReport:
    """Read everything; the connection sees the tenant, in a snapshot that is after `as_of`."""
    span = _span(wanted, wanted.first_day)
    return BusinessReport(
        wanted,
        await _currencies(connection, wanted, span),
        await _sales(connection, wanted),
        await analytics.business.points(connection, span),
        await activities(
            connection,
            wanted.tenant.tenant_id,
            first_day=wanted.first_day,
            last_day=wanted.last_day,
            as_of=wanted.as_of,
        ),
        await _insights(connection, wanted),
    )


async def _sales(connection: AsyncConnection, wanted: Wanted) -> list[Sales]:
    previous = before(wanted.period, wanted.first_day)
    return await sales_of(
        connection,
        wanted.tenant.tenant_id,
        purchase=wanted.policy.purchase,
        days=Days(wanted.first_day, wanted.last_day),
        previous=Days(previous, last_day_of(wanted.period, previous)),
        as_of=wanted.as_of,
    )


def _span(wanted: Wanted, first_day: date) -> Span:
    last_day = last_day_of(wanted.period, first_day)
    return Span(
        tenant_id=wanted.tenant.tenant_id,
        time_zone=wanted.time_zone,
        first_day=first_day,
        last_day=last_day,
        starts_at=day_start(first_day, wanted.time_zone),
        ends_at=day_start(last_day + ONE_DAY, wanted.time_zone),
        as_of=wanted.as_of,
    )


async def _currencies(
    connection: AsyncConnection, wanted: Wanted, span: Span
) -> list[CurrencyFigures]:
    days = await analytics.business.money_by_day(connection, span)
    previous = await analytics.business.money_by_day(
        connection, _span(wanted, before(wanted.period, wanted.first_day))
    )
    movements = {one.currency: one for one in await analytics.business.movements(connection, span)}
    collections = {
        one.currency: one for one in await analytics.business.collection(connection, span)
    }
    found = {one.currency for one in (*days, *previous)} | set(movements) | set(collections)
    return [
        CurrencyFigures(
            currency=currency,
            revenue_minor=sum(day.revenue_minor for day in days if day.currency == currency),
            previous_revenue_minor=sum(
                day.revenue_minor for day in previous if day.currency == currency
            ),
            collected_minor=sum(day.collected_minor for day in days if day.currency == currency),
            days=_every_day(days, currency, span),
            movement=movements.get(currency),
            collection=collections.get(currency),
        )
        for currency in sorted(found)
    ]


def _every_day(days: Sequence[MoneyDay], currency: str, span: Span) -> list[MoneyDay]:
    known = {day.day: day for day in days if day.currency == currency}
    count = (span.last_day - span.first_day).days + 1
    wanted = [span.first_day + timedelta(days=n) for n in range(count)]
    return [known.get(day) or MoneyDay(day, currency, 0, 0) for day in wanted]


async def _insights(connection: AsyncConnection, wanted: Wanted) -> Insights:
    group_min = wanted.policy.group_min
    purchases = Purchases(
        tenant_id=wanted.tenant.tenant_id,
        name=wanted.policy.purchase,
        currency=wanted.tenant.currency,
        first_day=wanted.first_day,
        last_day=wanted.last_day,
        as_of=wanted.as_of,
    )
    segments = await analytics.customers.segments(connection, purchases)
    risks = await analytics.customers.risks(connection, purchases)
    stores = await analytics.customers.stores(connection, purchases)
    first_month = months_before(wanted.last_day, COHORT_MONTHS - 1)
    cells = await analytics.customers.cohorts(connection, replace(purchases, first_day=first_month))
    hide_segment = hidden([one.customers for one in segments], group_min)
    hide_risk = hidden([one.customers for one in risks], group_min)
    hide_store = hidden([one.customers for one in stores], group_min)
    return Insights(
        segments=[one for one, away in zip(segments, hide_segment, strict=True) if not away],
        segments_hidden=[
            one.segment for one, away in zip(segments, hide_segment, strict=True) if away
        ],
        risks=[one for one, away in zip(risks, hide_risk, strict=True) if not away],
        risks_hidden=[one.risk for one, away in zip(risks, hide_risk, strict=True) if away],
        cohorts=cohorts_of(cells, wanted.last_day, group_min),
        stores=[one for one, away in zip(stores, hide_store, strict=True) if not away],
        stores_hidden=sum(hide_store),
    )


def cohorts_of(cells: Sequence[CohortCell], last_day: date, group_min: int) -> list[Cohort]:
    """One line per month of first purchases, up to the month of the last day."""
    counts = {(cell.cohort, cell.month_no): cell.customers for cell in cells}
    cohorts = []
    for month in sorted({cell.cohort for cell in cells}):
        months = (last_day.year - month.year) * 12 + last_day.month - month.month
        size = counts[month, 0]
        returned = [counts.get((month, number), 0) for number in range(1, months + 1)]
        is_small = size < group_min
        cohorts.append(
            Cohort(
                month,
                None if is_small else size,
                [None if is_small or 0 < one < group_min else one for one in returned],
            )
        )
    return cohorts
