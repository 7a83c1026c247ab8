"""Figures over all aggregates: what waits, what is billed and what is paid.

`billfleet status` and `billfleet demo` show them. The statements count and change nothing.
"""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# An outcome that the gateway never told, or a request that it refused as invalid.
_FOR_A_HUMAN = """
      (SELECT count(*) FROM billing.attempts WHERE state = 'unknown' AND next_check_at IS NULL)
      + (SELECT count(*) FROM billing.bills
          WHERE state = 'open' AND collection_note = 'refused_request')
"""
_BACKLOG = text(f"""
    SELECT
      (SELECT count(*) FROM fleet.outbox WHERE sent_at IS NULL) AS outbox_unsent,
      (SELECT CAST(extract(epoch FROM now() - min(created_at)) AS float8)
         FROM fleet.outbox WHERE sent_at IS NULL) AS outbox_oldest_age_s,
      (SELECT count(*) FROM billing.accounts
        WHERE parked_at IS NULL AND state <> 'INACTIVE'
          AND rebilling_date <= CAST(now() AT TIME ZONE time_zone AS date)) AS accounts_due,
      (SELECT count(*) FROM billing.accounts WHERE parked_at IS NOT NULL) AS accounts_parked,
      (SELECT count(*) FROM billing.attempts WHERE state = 'unknown') AS attempts_unknown,
      {_FOR_A_HUMAN} AS attempts_for_a_human
""")
_CALLS = text(f"""
    SELECT {_FOR_A_HUMAN} AS attempts_for_a_human,
           (SELECT count(*) FROM billing.accounts WHERE parked_at IS NOT NULL) AS accounts_parked
""")
_BOOKS = text("""
    SELECT a.tenant_id, coalesce(b.currency, a.currency) AS currency,
           count(DISTINCT a.account_id) AS accounts,
           count(b.period_start) AS periods,
           CAST(coalesce(sum(b.amount_minor), 0) AS bigint) AS charged_minor,
           count(*) FILTER (WHERE b.state = 'paid') AS paid,
           CAST(coalesce(sum(b.amount_minor) FILTER (WHERE b.state = 'paid'), 0) AS bigint)
             AS paid_minor,
           count(*) FILTER (WHERE b.state = 'open') AS open
    FROM billing.accounts a LEFT JOIN billing.bills b USING (tenant_id, account_id)
    GROUP BY 1, 2 ORDER BY 1, 2
""")


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in the database now."""

    outbox_unsent: int
    outbox_oldest_age_s: float | None
    accounts_due: int
    accounts_parked: int
    attempts_unknown: int
    attempts_for_a_human: int


@dataclass(frozen=True, slots=True)
class CallsForAttention:
    """What stands still until a person has looked at it."""

    attempts_for_a_human: int
    accounts_parked: int


@dataclass(frozen=True, slots=True)
class TenantBooks:
    """What one tenant has billed and collected in one currency."""

    tenant_id: str
    currency: str
    accounts: int
    periods: int
    charged_minor: int
    paid: int
    paid_minor: int
    open: int


async def backlog(connection: AsyncConnection) -> Backlog:
    """Count what waits."""
    return Backlog(**(await connection.execute(_BACKLOG)).mappings().one())


async def calls_for_attention(connection: AsyncConnection) -> CallsForAttention:
    """Count what only people resolve."""
    return CallsForAttention(**(await connection.execute(_CALLS)).mappings().one())


async def books(connection: AsyncConnection) -> list[TenantBooks]:
    """What each tenant has billed and collected, by currency."""
    return [TenantBooks(**row) for row in (await connection.execute(_BOOKS)).mappings()]
