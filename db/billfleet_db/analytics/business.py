"""Business figures of a tenant: revenue, recurring revenue and its movements, collection, points.

The reports worker calls them. All of them are read from rows that are never changed, of which only
those written before `as_of` count, so a report of the past says the same whenever it is made (R74).
It knows no period's name and no rounding of a display.
"""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db.analytics.asking import rows_of


@dataclass(frozen=True, slots=True)
class Span:
    """Which days of which tenant, as they were known when; the instants are the days' bounds."""

    tenant_id: str
    time_zone: str
    first_day: date
    last_day: date
    starts_at: datetime
    ends_at: datetime
    as_of: datetime


@dataclass(frozen=True, slots=True)
class MoneyDay:
    """What the ledger says of a day. Revenue is what was billed less what was taken back."""

    day: date
    currency: str
    revenue_minor: int
    collected_minor: int


@dataclass(frozen=True, slots=True)
class Movement:
    """How recurring revenue per month moved between the eve of the days and their end.

    before + new + expansion + reactivation - contraction - churn = after
    """

    currency: str
    accounts: int
    before_minor: int
    new_minor: int
    expansion_minor: int
    reactivation_minor: int
    contraction_minor: int
    churn_minor: int
    after_minor: int


@dataclass(frozen=True, slots=True)
class Collection:
    """Of the bills charged in the days: what was paid by `as_of`, and what dunning got back.

    `recovered` are bills whose first attempt was declined in these days and that were paid since.
    """

    currency: str
    bills: int
    charged_minor: int
    paid_minor: int
    declined_bills: int
    declined_minor: int
    recovered_bills: int
    recovered_minor: int


@dataclass(frozen=True, slots=True)
class PointsFigures:
    """Points of a programme: moved in the days, and owed to customers at their end."""

    programme_id: str
    issued: int
    spent: int
    expired: int
    outstanding: int
    cards: int


_MONEY = text("""
    SELECT CAST(t.posted_at AT TIME ZONE CAST(:time_zone AS text) AS date) AS day, t.currency,
      CAST(coalesce(sum(CASE WHEN c.kind = 'revenue' THEN t.amount_minor
                             WHEN d.kind = 'revenue' THEN -t.amount_minor END), 0) AS bigint)
        AS revenue_minor,
      CAST(coalesce(sum(CASE WHEN d.kind = 'cash' THEN t.amount_minor
                             WHEN c.kind = 'cash' THEN -t.amount_minor END), 0) AS bigint)
        AS collected_minor
    FROM billing.transfers t
    JOIN billing.ledger_accounts d ON d.ledger_account_id = t.debit_id
    JOIN billing.ledger_accounts c ON c.ledger_account_id = t.credit_id
    WHERE t.tenant_id = :tenant_id AND t.posted_at >= :starts_at AND t.posted_at < :ends_at
      AND t.posted_at < :as_of
    GROUP BY 1, 2 ORDER BY 1, 2
""")
# A bill's months follow from its two dates: both come from one anchor day, so their difference in
# calendar months is exact, however short February is.
_MOVEMENTS = text("""
    WITH charges AS (
      SELECT t.account_id, t.currency, b.period_start, b.period_end,
             round(t.amount_minor / CAST(greatest(1,
               extract(year FROM b.period_end + 1) * 12 + extract(month FROM b.period_end + 1)
               - extract(year FROM b.period_start) * 12 - extract(month FROM b.period_start)
             ) AS numeric)) AS monthly_minor
      FROM billing.transfers t
      JOIN billing.bills b USING (tenant_id, account_id, period_start)
      WHERE t.tenant_id = :tenant_id AND t.kind = 'charge' AND t.posted_at < :as_of
        AND NOT EXISTS (SELECT FROM billing.transfers r
                        WHERE r.reverses = t.transfer_id AND r.posted_at < :as_of)
    ), sides AS (
      SELECT account_id, currency,
        coalesce(sum(monthly_minor) FILTER (
          WHERE CAST(:first_day AS date) - 1 BETWEEN period_start AND period_end), 0) AS before,
        coalesce(sum(monthly_minor) FILTER (
          WHERE CAST(:last_day AS date) BETWEEN period_start AND period_end), 0) AS after,
        bool_or(period_start < CAST(:first_day AS date)) AS is_known
      FROM charges GROUP BY account_id, currency
    )
    SELECT currency,
      count(*) FILTER (WHERE after > 0) AS accounts,
      CAST(sum(before) AS bigint) AS before_minor,
      CAST(coalesce(sum(after) FILTER (WHERE before = 0 AND NOT is_known), 0) AS bigint)
        AS new_minor,
      CAST(coalesce(sum(after - before) FILTER (WHERE before > 0 AND after > before), 0) AS bigint)
        AS expansion_minor,
      CAST(coalesce(sum(after) FILTER (WHERE before = 0 AND is_known), 0) AS bigint)
        AS reactivation_minor,
      CAST(coalesce(sum(before - after) FILTER (WHERE after > 0 AND after < before), 0) AS bigint)
        AS contraction_minor,
      CAST(coalesce(sum(before) FILTER (WHERE after = 0), 0) AS bigint) AS churn_minor,
      CAST(sum(after) AS bigint) AS after_minor
    FROM sides GROUP BY currency HAVING sum(before) + sum(after) > 0 ORDER BY currency
""")
_PAID = """
    LEFT JOIN LATERAL (
      SELECT coalesce(sum(CASE WHEN p.kind = 'payment' THEN p.amount_minor
                               ELSE -p.amount_minor END), 0) AS paid_minor
      FROM billing.transfers p
      LEFT JOIN billing.transfers o ON o.transfer_id = p.reverses
      WHERE p.tenant_id = t.tenant_id AND p.account_id = t.account_id
        AND p.period_start = t.period_start AND p.posted_at < :as_of
        AND (p.kind = 'payment' OR o.kind = 'payment')
    ) AS paid ON true
"""
_COLLECTION = text(f"""
    WITH charged AS (
      SELECT t.currency, t.amount_minor,
             least(paid.paid_minor, t.amount_minor) AS paid_minor
      FROM billing.transfers t {_PAID}
      WHERE t.tenant_id = :tenant_id AND t.kind = 'charge' AND t.posted_at < :as_of
        AND t.posted_at >= :starts_at AND t.posted_at < :ends_at
        AND NOT EXISTS (SELECT FROM billing.transfers r
                        WHERE r.reverses = t.transfer_id AND r.posted_at < :as_of)
    ), declined AS (
      SELECT t.currency, t.amount_minor, paid.paid_minor >= t.amount_minor AS is_recovered
      FROM (
        SELECT tenant_id, account_id, period_start, min(concluded_at) AS first_declined_at
        FROM billing.attempts WHERE tenant_id = :tenant_id AND state = 'declined'
        GROUP BY tenant_id, account_id, period_start
      ) AS a
      JOIN billing.transfers t USING (tenant_id, account_id, period_start) {_PAID}
      WHERE t.kind = 'charge' AND a.first_declined_at < :as_of
        AND a.first_declined_at >= :starts_at AND a.first_declined_at < :ends_at
    ), currencies AS (SELECT currency FROM charged UNION SELECT currency FROM declined)
    SELECT u.currency,
      (SELECT count(*) FROM charged c WHERE c.currency = u.currency) AS bills,
      (SELECT CAST(coalesce(sum(amount_minor), 0) AS bigint) FROM charged c
        WHERE c.currency = u.currency) AS charged_minor,
      (SELECT CAST(coalesce(sum(paid_minor), 0) AS bigint) FROM charged c
        WHERE c.currency = u.currency) AS paid_minor,
      count(d.currency) AS declined_bills,
      CAST(coalesce(sum(d.amount_minor), 0) AS bigint) AS declined_minor,
      count(*) FILTER (WHERE d.is_recovered) AS recovered_bills,
      CAST(coalesce(sum(d.amount_minor) FILTER (WHERE d.is_recovered), 0) AS bigint)
        AS recovered_minor
    FROM currencies u LEFT JOIN declined d USING (currency)
    GROUP BY u.currency ORDER BY u.currency
""")
_POINTS = text("""
    WITH moved AS (
      SELECT c.programme_id, m.card_id, m.kind, m.quantity, m.moved_at >= :starts_at AS is_within
      FROM loyalty.movements m JOIN loyalty.cards c USING (tenant_id, card_id)
      WHERE m.tenant_id = :tenant_id AND m.lot_id IS NOT NULL AND m.moved_at < :ends_at
        AND m.moved_at < :as_of
    )
    SELECT programme_id,
      CAST(coalesce(sum(quantity) FILTER (WHERE is_within AND kind = 'issue'), 0) AS bigint)
        AS issued,
      CAST(coalesce(sum(CASE kind WHEN 'spend' THEN quantity WHEN 'recover' THEN quantity
                                  WHEN 'return' THEN -quantity END)
                    FILTER (WHERE is_within), 0) AS bigint) AS spent,
      CAST(coalesce(sum(quantity) FILTER (WHERE is_within AND kind = 'expire'), 0) AS bigint)
        AS expired,
      CAST(coalesce(sum(CASE WHEN kind IN ('issue', 'return') THEN quantity
                             WHEN kind IN ('spend', 'recover', 'expire', 'reverse')
                             THEN -quantity END), 0) AS bigint) AS outstanding,
      count(DISTINCT card_id) AS cards
    FROM moved GROUP BY programme_id ORDER BY programme_id
""")


async def money_by_day(connection: AsyncConnection, span: Span) -> list[MoneyDay]:
    """Revenue and what was collected, by the tenant's day, where there was any."""
    return [MoneyDay(**row) for row in await rows_of(connection, _MONEY, span)]


async def movements(connection: AsyncConnection, span: Span) -> list[Movement]:
    """Recurring revenue by currency. A period's price counts on the days that it covers."""
    return [Movement(**row) for row in await rows_of(connection, _MOVEMENTS, span)]


async def collection(connection: AsyncConnection, span: Span) -> list[Collection]:
    """How collecting went, by currency."""
    return [Collection(**row) for row in await rows_of(connection, _COLLECTION, span)]


async def points(connection: AsyncConnection, span: Span) -> list[PointsFigures]:
    """Points by programme."""
    return [PointsFigures(**row) for row in await rows_of(connection, _POINTS, span)]
