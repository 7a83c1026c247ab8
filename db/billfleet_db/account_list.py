"""Accounts as a list: which are due, past due, parked.

Called by `billfleet accounts list`. It reads columns and decides nothing: due is what the sweep
would take, an account whose date has come in its own zone and that is billed at all.
"""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db.accounts import AccountState


@dataclass(frozen=True, slots=True)
class ListedAccount:
    """One line of the list."""

    tenant_id: str
    account_id: str
    customer_id: str
    state: AccountState
    amount_minor: int
    currency: str
    rebilling_date: date
    time_zone: str
    is_due: bool
    parked_reason: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to list; None leaves a question open."""

    tenant_id: str | None = None
    state: AccountState | None = None
    is_due: bool | None = None
    is_parked: bool | None = None


_LIST = text("""
    WITH seen AS (
      SELECT tenant_id, account_id, customer_id, state, amount_minor, currency, rebilling_date,
             time_zone, parked_reason,
             state <> 'INACTIVE' AND parked_at IS NULL
               AND rebilling_date <= CAST(:now AS timestamptz) AT TIME ZONE time_zone AS is_due
      FROM billing.accounts
      WHERE (tenant_id = :tenant_id OR CAST(:tenant_id AS text) IS NULL)
        AND (state = :state OR CAST(:state AS text) IS NULL)
        AND ((parked_at IS NOT NULL) = :is_parked OR CAST(:is_parked AS boolean) IS NULL))
    SELECT tenant_id, account_id, customer_id, state, amount_minor, currency, rebilling_date,
           time_zone, is_due, parked_reason
    FROM seen WHERE is_due = :is_due OR CAST(:is_due AS boolean) IS NULL
    ORDER BY tenant_id, account_id LIMIT :limit
""")


async def list_accounts(
    connection: AsyncConnection, wanted: Wanted, *, now: datetime, limit: int
) -> list[ListedAccount]:
    """The first so many of them, in the order of their ids."""
    values = {
        "tenant_id": wanted.tenant_id,
        "state": wanted.state,
        "is_due": wanted.is_due,
        "is_parked": wanted.is_parked,
        "now": now,
        "limit": limit,
    }
    return [ListedAccount(*row) for row in await connection.execute(_LIST, values)]
