"""Customer figures: recency, frequency and money, cohorts, risk of churn, and stores.

The reports worker calls them. They are made of a tenant's purchases as they were known at `as_of`.
A customer's name leaves this module nowhere: all rows are groups, and hiding small ones is the
caller's business (R78).

The rules, which a report repeats in words:

- Scores are fifths: a customer's is 1 + floor(5 * customers behind it / all customers), so equals
  score equally. Recency by the day of the last purchase, frequency by days with a purchase, money
  by the sum.
- Segments: champions R>=4 F>=4; loyal R>=3 F>=3; new R>=4 F<=2; promising R=3 F<=2; at risk R<=2
  F>=3; hibernating R<=2 F<=2.
- Churn risk: days since the last purchase, against the customer's own mean days between purchases;
  for customers with one day of purchases against the median of those means. More than 3 times is
  high, more than twice medium.
"""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db.analytics.asking import rows_of


@dataclass(frozen=True, slots=True)
class Purchases:
    """Which events are looked at: one tenant's purchases in one currency, up to a day."""

    tenant_id: str
    name: str
    currency: str
    first_day: date
    last_day: date
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Segment:
    """Customers of one segment. Means are rounded."""

    segment: str
    customers: int
    amount_minor: int
    mean_days_since: int


@dataclass(frozen=True, slots=True)
class CohortCell:
    """Of the customers whose first purchase was in `cohort`: how many bought `month_no` later."""

    cohort: date
    month_no: int
    customers: int


@dataclass(frozen=True, slots=True)
class Risk:
    """Customers by their risk of churn, and what they have spent."""

    risk: str
    customers: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """What a store sold in the days, and to how many customers.

    `brand` and `store` are their names of today; their ids, where they are not registered.
    """

    brand_id: str
    brand: str
    store_id: str
    store: str
    customers: int
    purchases: int
    amount_minor: int


_EACH = """
    WITH purchases AS (
      SELECT customer_id, local_day, brand_id, store_id, amount_minor
      FROM analytics.events
      WHERE tenant_id = :tenant_id AND name = :name AND currency = :currency
        AND customer_id IS NOT NULL AND local_day <= :last_day AND stored_at < :as_of
    ), each AS (
      SELECT customer_id, min(local_day) AS first_on, max(local_day) AS last_on,
             count(DISTINCT local_day) AS days, sum(amount_minor) AS amount_minor
      FROM purchases GROUP BY customer_id
    )
"""
_SEGMENTS = text(
    _EACH
    + """, scored AS (
      SELECT amount_minor, CAST(:last_day AS date) - last_on AS days_since,
        1 + (5 * (rank() OVER (ORDER BY last_on) - 1)) / count(*) OVER () AS r,
        1 + (5 * (rank() OVER (ORDER BY days) - 1)) / count(*) OVER () AS f
      FROM each
    ), named AS (
      SELECT amount_minor, days_since,
        CASE WHEN r >= 4 AND f >= 4 THEN 'champions' WHEN r >= 3 AND f >= 3 THEN 'loyal'
             WHEN r >= 4 THEN 'new' WHEN r = 3 THEN 'promising'
             WHEN f >= 3 THEN 'at_risk' ELSE 'hibernating' END AS segment
      FROM scored
    )
    SELECT segment, count(*) AS customers, CAST(sum(amount_minor) AS bigint) AS amount_minor,
           CAST(round(avg(days_since)) AS bigint) AS mean_days_since
    FROM named GROUP BY segment ORDER BY segment
"""
)
_SCORES = text(
    _EACH
    + """
    SELECT r, f, m, count(*) AS customers FROM (
      SELECT 1 + (5 * (rank() OVER (ORDER BY last_on) - 1)) / count(*) OVER () AS r,
        1 + (5 * (rank() OVER (ORDER BY days) - 1)) / count(*) OVER () AS f,
        1 + (5 * (rank() OVER (ORDER BY amount_minor) - 1)) / count(*) OVER () AS m
      FROM each
    ) AS scored GROUP BY r, f, m ORDER BY r, f, m
"""
)
_COHORTS = text("""
    WITH dated AS (
      SELECT customer_id, local_day, min(local_day) OVER (PARTITION BY customer_id) AS first_on
      FROM analytics.events
      WHERE tenant_id = :tenant_id AND name = :name AND currency = :currency
        AND customer_id IS NOT NULL AND local_day <= :last_day AND stored_at < :as_of
    )
    SELECT CAST(date_trunc('month', first_on) AS date) AS cohort,
      CAST((extract(year FROM local_day) - extract(year FROM first_on)) * 12
           + extract(month FROM local_day) - extract(month FROM first_on) AS integer) AS month_no,
      count(DISTINCT customer_id) AS customers
    FROM dated WHERE first_on >= CAST(:first_day AS date)
    GROUP BY 1, 2 ORDER BY 1, 2
""")
_RISKS = text(
    _EACH
    + """, paced AS (
      SELECT CAST(:last_day AS date) - last_on AS days_since, amount_minor,
        CASE WHEN days > 1 THEN CAST(last_on - first_on AS float8) / (days - 1) END AS pace
      FROM each
    ), usual AS MATERIALIZED (
      SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY pace) AS pace FROM paced
      WHERE pace IS NOT NULL
    ), judged AS (
      SELECT p.amount_minor,
        CASE WHEN coalesce(p.pace, u.pace) IS NULL THEN 'unknown'
             WHEN days_since > 3 * greatest(coalesce(p.pace, u.pace), 1) THEN 'high'
             WHEN days_since > 2 * greatest(coalesce(p.pace, u.pace), 1) THEN 'medium'
             ELSE 'low' END AS risk
      FROM paced p CROSS JOIN usual u
    )
    SELECT risk, count(*) AS customers, CAST(sum(amount_minor) AS bigint) AS amount_minor
    FROM judged GROUP BY risk ORDER BY risk
"""
)
_STORES = text("""
    SELECT e.brand_id, coalesce(b.name, e.brand_id) AS brand,
           e.store_id, coalesce(s.name, e.store_id) AS store,
           e.customers, e.purchases, e.amount_minor
    FROM (
      SELECT brand_id, store_id, count(DISTINCT customer_id) AS customers, count(*) AS purchases,
             CAST(coalesce(sum(amount_minor), 0) AS bigint) AS amount_minor
      FROM analytics.events
      WHERE tenant_id = :tenant_id AND name = :name AND currency = :currency AND store_id <> ''
        AND local_day BETWEEN :first_day AND :last_day AND stored_at < :as_of
      GROUP BY brand_id, store_id
    ) e
    LEFT JOIN business.stores s ON s.tenant_id = :tenant_id AND s.store_id = e.store_id
    LEFT JOIN business.brands b ON b.tenant_id = :tenant_id AND b.brand_id = e.brand_id
    ORDER BY e.brand_id, e.store_id
""")


async def segments(connection: AsyncConnection, purchases: Purchases) -> list[Segment]:
    """Customers by segment."""
    return [Segment(**row) for row in await rows_of(connection, _SEGMENTS, purchases)]


async def scores(
    connection: AsyncConnection, purchases: Purchases
) -> dict[tuple[int, int, int], int]:
    """How many customers have each score of recency, frequency and money."""
    rows = await rows_of(connection, _SCORES, purchases)
    return {(row["r"], row["f"], row["m"]): row["customers"] for row in rows}


async def cohorts(connection: AsyncConnection, purchases: Purchases) -> list[CohortCell]:
    """Cohorts that began in the days, and who of them came back in each later month."""
    return [CohortCell(**row) for row in await rows_of(connection, _COHORTS, purchases)]


async def risks(connection: AsyncConnection, purchases: Purchases) -> list[Risk]:
    """Customers by their risk of churn."""
    return [Risk(**row) for row in await rows_of(connection, _RISKS, purchases)]


async def stores(connection: AsyncConnection, purchases: Purchases) -> list[StoreFigures]:
    """What each store sold in the days."""
    return [StoreFigures(**row) for row in await rows_of(connection, _STORES, purchases)]
