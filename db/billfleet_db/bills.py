"""Bills: what an account owes for a period, and which of them wait to be collected.

The rebill handler writes them, the collect sweep pages through what is due, and the account
commands list them. How an attempt changes its bill is the business of `attempts`. It knows
columns, not the rules of dunning.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from typing import Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

BillState = Literal["open", "paid", "uncollectible", "void"]

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Bill:
    """A row of billing.bills."""

    tenant_id: str
    account_id: str
    period_start: date
    period_end: date
    amount_minor: int
    currency: str
    charge_transfer_id: int
    state: BillState
    attempts_made: int
    next_attempt_at: datetime | None
    first_failed_at: datetime | None
    collection_note: str | None
    paid_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewBill:
    """A bill to write. Without `next_attempt_at` there is nothing to collect, and it is paid."""

    account_id: str
    period_start: date
    period_end: date
    amount_minor: int
    currency: str
    charge_transfer_id: int
    next_attempt_at: datetime | None


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where a page of due work ended: the moment it was due, and which bill it was."""

    due_at: datetime = BEGINNING
    tenant_id: str = ""
    account_id: str = ""
    period_start: date = date.min


@dataclass(frozen=True, slots=True)
class DueBill:
    """An open bill whose next attempt is due."""

    position: Position
    attempts_made: int


@dataclass(frozen=True, slots=True)
class DueCheck:
    """An attempt whose outcome is not known and should be asked for."""

    position: Position
    attempt_no: int
    checks_made: int


_COLUMNS = ", ".join(field.name for field in fields(Bill))

_INSERT = text("""
    INSERT INTO billing.bills (tenant_id, account_id, period_start, period_end, amount_minor,
                               currency, charge_transfer_id, state, next_attempt_at, paid_at,
                               created_at)
    SELECT :tenant_id, account_id, period_start, period_end, amount_minor, currency,
           charge_transfer_id, CASE WHEN next_attempt_at IS NULL THEN 'paid' ELSE 'open' END,
           next_attempt_at, CASE WHEN next_attempt_at IS NULL THEN CAST(:now AS timestamptz) END,
           :now
    FROM unnest(CAST(:account_ids AS text[]), CAST(:period_starts AS date[]),
                CAST(:period_ends AS date[]), CAST(:amounts_minor AS bigint[]),
                CAST(:currencies AS text[]), CAST(:charge_transfer_ids AS bigint[]),
                CAST(:next_attempts_at AS timestamptz[]))
      AS n(account_id, period_start, period_end, amount_minor, currency, charge_transfer_id,
           next_attempt_at)
""")

_LIST = text(f"""
    SELECT {_COLUMNS} FROM billing.bills
    WHERE tenant_id = :tenant_id AND account_id = :account_id
    ORDER BY period_start
""")

_AFTER = "> (CAST(:due_at AS timestamptz), :after_tenant_id, :after_account_id, :period_start)"

# An account with an unresolved attempt is left to the checks: nothing new is tried before that.
_DUE = text(f"""
    SELECT b.next_attempt_at AS due_at, b.tenant_id, b.account_id, b.period_start, b.attempts_made
    FROM billing.bills b
    WHERE b.state = 'open' AND b.next_attempt_at <= :now
      AND (b.next_attempt_at, b.tenant_id, b.account_id, b.period_start) {_AFTER}
      AND (CAST(:tenant_id AS text) IS NULL OR b.tenant_id = :tenant_id)
      AND NOT EXISTS (
        SELECT FROM billing.attempts a
        WHERE a.tenant_id = b.tenant_id AND a.account_id = b.account_id
          AND a.state IN ('prepared', 'unknown'))
    ORDER BY b.next_attempt_at, b.tenant_id, b.account_id, b.period_start
    LIMIT :limit
""")

_CHECKS = text(f"""
    SELECT due_at, tenant_id, account_id, period_start, attempt_no, checks_made
    FROM (
      SELECT next_check_at AS due_at, * FROM billing.attempts
      WHERE state = 'unknown' AND next_check_at <= :now
      UNION ALL
      SELECT leased_until AS due_at, * FROM billing.attempts
      WHERE state = 'prepared' AND leased_until <= :now
    ) a
    WHERE (due_at, tenant_id, account_id, period_start) {_AFTER}
      AND (CAST(:tenant_id AS text) IS NULL OR tenant_id = :tenant_id)
    ORDER BY due_at, tenant_id, account_id, period_start
    LIMIT :limit
""")


async def insert(
    connection: AsyncConnection, tenant_id: str, bills: Sequence[NewBill], *, now: datetime
) -> None:
    """Write bills for charges of this transaction. A second bill of a period is refused."""
    values = {
        "tenant_id": tenant_id,
        "now": now,
        "account_ids": [bill.account_id for bill in bills],
        "period_starts": [bill.period_start for bill in bills],
        "period_ends": [bill.period_end for bill in bills],
        "amounts_minor": [bill.amount_minor for bill in bills],
        "currencies": [bill.currency for bill in bills],
        "charge_transfer_ids": [bill.charge_transfer_id for bill in bills],
        "next_attempts_at": [bill.next_attempt_at for bill in bills],
    }
    await connection.execute(_INSERT, values)


async def of_account(connection: AsyncConnection, tenant_id: str, account_id: str) -> list[Bill]:
    """All bills of an account, oldest first."""
    rows = await connection.execute(_LIST, {"tenant_id": tenant_id, "account_id": account_id})
    return [Bill(**row) for row in rows.mappings()]


async def due_for_collection(
    connection: AsyncConnection,
    *,
    now: datetime,
    after: Position | None = None,
    tenant_id: str | None = None,
    limit: int = 1000,
) -> list[DueBill]:
    """One page of open bills whose next attempt is due, longest due first."""
    rows = await connection.execute(_DUE, _page(now, after or Position(), tenant_id, limit))
    return [
        DueBill(
            Position(row.due_at, row.tenant_id, row.account_id, row.period_start),
            row.attempts_made,
        )
        for row in rows
    ]


async def due_for_check(
    connection: AsyncConnection,
    *,
    now: datetime,
    after: Position | None = None,
    tenant_id: str | None = None,
    limit: int = 1000,
) -> list[DueCheck]:
    """One page of attempts to ask about: unknown and due, or prepared by someone who vanished."""
    rows = await connection.execute(_CHECKS, _page(now, after or Position(), tenant_id, limit))
    return [
        DueCheck(
            Position(row.due_at, row.tenant_id, row.account_id, row.period_start),
            row.attempt_no,
            row.checks_made,
        )
        for row in rows
    ]


def _page(now: datetime, after: Position, tenant_id: str | None, limit: int) -> dict[str, object]:
    return {
        "now": now,
        "due_at": after.due_at,
        "after_tenant_id": after.tenant_id,
        "after_account_id": after.account_id,
        "period_start": after.period_start,
        "tenant_id": tenant_id,
        "limit": limit,
    }
