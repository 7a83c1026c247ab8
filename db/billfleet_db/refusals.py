"""Refusals: why a period was not billed, kept for whoever asks.

The rebill handler records them and `billfleet accounts why` reads them. An account that does not
exist can be refused too, so nothing here points at one. It knows no reason's meaning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class NewRefusal:
    """A period that was not billed."""

    account_id: str
    period_start: date
    reason: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row of billing.refusals."""

    account_id: str
    period_start: date | None
    reason: str
    work_id: str | None
    refused_at: datetime


# The same work delivered again refuses the same periods; one record of that is enough.
_RECORD = text("""
    INSERT INTO billing.refusals (tenant_id, account_id, period_start, reason, work_id, refused_at)
    SELECT :tenant_id, n.account_id, n.period_start, n.reason, :work_id, :now
    FROM unnest(CAST(:account_ids AS text[]), CAST(:period_starts AS date[]),
                CAST(:reasons AS text[])) AS n(account_id, period_start, reason)
    WHERE NOT EXISTS (
      SELECT FROM billing.refusals r
      WHERE r.tenant_id = :tenant_id AND r.account_id = n.account_id
        AND r.period_start = n.period_start AND r.work_id = :work_id)
""")

_OF_ACCOUNT = text("""
    SELECT account_id, period_start, reason, work_id, refused_at FROM billing.refusals
    WHERE tenant_id = :tenant_id AND account_id = :account_id
    ORDER BY period_start, refusal_id
""")


async def record(
    connection: AsyncConnection,
    tenant_id: str,
    refusals: Sequence[NewRefusal],
    *,
    work_id: str,
    now: datetime,
) -> None:
    """Keep the refusals, once per piece of work."""
    values = {
        "tenant_id": tenant_id,
        "work_id": work_id,
        "now": now,
        "account_ids": [refusal.account_id for refusal in refusals],
        "period_starts": [refusal.period_start for refusal in refusals],
        "reasons": [refusal.reason for refusal in refusals],
    }
    await connection.execute(_RECORD, values)


async def of_account(connection: AsyncConnection, tenant_id: str, account_id: str) -> list[Refusal]:
    """All refusals of an account by period, oldest first."""
    rows = await connection.execute(_OF_ACCOUNT, {"tenant_id": tenant_id, "account_id": account_id})
    return [Refusal(**row) for row in rows.mappings()]
