"""Reads the ledger: an account's entries, what it owes, what was collected, the trial balance.

Called by handlers, by `corrections` and by `billfleet ledger show`. Every figure is summed from the
transfers themselves; there is no second copy that could drift (R39).
"""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Entry:
    """One transfer as its account sees it; `owed_change_minor` is what it did to the debt."""

    transfer_id: int
    transfer_key: str
    kind: str
    period_start: date
    debit: str
    credit: str
    amount_minor: int
    currency: str
    owed_change_minor: int
    reverses: int | None
    reason: str | None
    work_id: str
    posted_at: datetime


@dataclass(frozen=True, slots=True)
class TrialBalanceRow:
    """Everything ever debited and credited to one kind of side, in one currency of one tenant."""

    tenant_id: str
    currency: str
    kind: str
    debit_minor: int
    credit_minor: int


@dataclass(frozen=True, slots=True)
class Collected:
    """Money taken in for one period, and the part of it given back; reversals are counted off."""

    captured_minor: int
    refunded_minor: int


_SIDES = """
    JOIN billing.ledger_accounts d ON d.ledger_account_id = t.debit_id
    JOIN billing.ledger_accounts c ON c.ledger_account_id = t.credit_id
"""
_OWED_CHANGE = """
    CASE WHEN d.kind = 'receivable' THEN t.amount_minor
         WHEN c.kind = 'receivable' THEN -t.amount_minor
         ELSE 0 END
"""
CAPTURED = """
    CASE WHEN d.kind = 'cash' AND c.kind = 'receivable' THEN t.amount_minor
         WHEN d.kind = 'receivable' AND c.kind = 'cash' THEN -t.amount_minor
         ELSE 0 END
"""
REFUNDED = """
    CASE WHEN d.kind = 'revenue' AND c.kind = 'cash' THEN t.amount_minor
         WHEN d.kind = 'cash' AND c.kind = 'revenue' THEN -t.amount_minor
         ELSE 0 END
"""

_ENTRIES = text(f"""
    SELECT t.transfer_id, t.transfer_key, t.kind, t.period_start, d.kind AS debit, c.kind AS credit,
           t.amount_minor, t.currency, {_OWED_CHANGE} AS owed_change_minor, t.reverses, t.reason,
           t.work_id, t.posted_at
    FROM billing.transfers t {_SIDES}
    WHERE t.tenant_id = :tenant_id AND t.account_id = :account_id AND t.transfer_id > :after
    ORDER BY t.transfer_id
    LIMIT :limit
""")
_BALANCE = text(f"""
    SELECT t.currency, CAST(sum({_OWED_CHANGE}) AS bigint) AS owed_minor
    FROM billing.transfers t {_SIDES}
    WHERE t.tenant_id = :tenant_id AND t.account_id = :account_id
    GROUP BY t.currency ORDER BY t.currency
""")
_COLLECTED = text(f"""
    SELECT CAST(coalesce(sum({CAPTURED}), 0) AS bigint) AS captured_minor,
           CAST(coalesce(sum({REFUNDED}), 0) AS bigint) AS refunded_minor
    FROM billing.transfers t {_SIDES}
    WHERE t.tenant_id = :tenant_id AND t.account_id = :account_id
      AND t.period_start = :period_start AND t.currency = :currency
""")
_TRIAL_BALANCE = text("""
    SELECT la.tenant_id, la.currency, la.kind,
           CAST(sum(side.debit) AS bigint) AS debit_minor,
           CAST(sum(side.credit) AS bigint) AS credit_minor
    FROM (
      SELECT debit_id AS id, sum(amount_minor) AS debit, 0 AS credit
      FROM billing.transfers
      WHERE tenant_id = :tenant_id OR CAST(:tenant_id AS text) IS NULL GROUP BY debit_id
      UNION ALL
      SELECT credit_id, 0, sum(amount_minor)
      FROM billing.transfers
      WHERE tenant_id = :tenant_id OR CAST(:tenant_id AS text) IS NULL GROUP BY credit_id
    ) AS side
    JOIN billing.ledger_accounts la ON la.ledger_account_id = side.id
    GROUP BY la.tenant_id, la.currency, la.kind
    ORDER BY la.tenant_id, la.currency, la.kind
""")


async def account_entries(
    connection: AsyncConnection,
    tenant_id: str,
    account_id: str,
    *,
    after: int | None = None,
    limit: int = 100,
) -> list[Entry]:
    """Return the account's transfers after the given transfer id, oldest first."""
    found = await connection.execute(
        _ENTRIES,
        {"tenant_id": tenant_id, "account_id": account_id, "after": after or 0, "limit": limit},
    )
    return [Entry(**row) for row in found.mappings()]


async def balance_of(
    connection: AsyncConnection, tenant_id: str, account_id: str
) -> dict[str, int]:
    """Return what the account owes in minor units, by currency; negative when it is in credit."""
    found = await connection.execute(_BALANCE, {"tenant_id": tenant_id, "account_id": account_id})
    return {row.currency: row.owed_minor for row in found}


async def collected(
    connection: AsyncConnection, tenant_id: str, account_id: str, period_start: date, currency: str
) -> Collected:
    """Return what was captured and refunded for one period of an account."""
    found = await connection.execute(
        _COLLECTED,
        {
            "tenant_id": tenant_id,
            "account_id": account_id,
            "period_start": period_start,
            "currency": currency,
        },
    )
    return Collected(**found.mappings().one())


async def trial_balance(
    connection: AsyncConnection, tenant_id: str | None = None
) -> list[TrialBalanceRow]:
    """Return debits and credits per tenant, currency and kind of side; each currency adds up."""
    found = await connection.execute(_TRIAL_BALANCE, {"tenant_id": tenant_id})
    return [TrialBalanceRow(**row) for row in found.mappings()]
