"""Builds postings, bills and tampering for the tests of the database room.

Used by tests/integration/db, against the company that its conftest creates.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db import Database
from billfleet_db.ledger import NewTransfer, TransferKind, charge_key, payment_key

JANUARY = date(2025, 1, 1)
ACCOUNTS = ("acc-1", "acc-2", "acc-3")


def charge(account_id: str = "acc-1", amount_minor: int = 2985, **changes: Any) -> NewTransfer:
    """A charge of January, unless told otherwise."""
    return _transfer("charge", account_id, amount_minor, changes)


def payment(account_id: str = "acc-1", amount_minor: int = 2985, **changes: Any) -> NewTransfer:
    """A payment for January, unless told otherwise."""
    return _transfer("payment", account_id, amount_minor, changes)


def _transfer(
    kind: TransferKind, account_id: str, amount_minor: int, changes: Mapping[str, Any]
) -> NewTransfer:
    period_start = changes.get("period_start", JANUARY)
    key = charge_key(account_id, period_start)
    if kind == "payment":
        key = payment_key(f"acme:{account_id}:{period_start}:1")
    values: dict[str, Any] = {
        "tenant_id": "acme",
        "transfer_key": key,
        "kind": kind,
        "account_id": account_id,
        "period_start": JANUARY,
        "amount_minor": amount_minor,
        "currency": "USD",
        "work_id": "work-1",
    }
    return NewTransfer(**{**values, **changes})


async def add_bill(
    connection: AsyncConnection, charge_transfer_id: int, state: str = "open", **changes: Any
) -> None:
    """A bill for a charge, as the charge says, unless told otherwise."""
    values = {"period_end": date(2025, 1, 31), "amount_minor": None, "period_start": None}
    await connection.execute(
        text("""
            INSERT INTO billing.bills (tenant_id, account_id, period_start, period_end,
              amount_minor, currency, charge_transfer_id, state, next_attempt_at)
            SELECT tenant_id, account_id, coalesce(CAST(:period_start AS date), period_start),
              :period_end, coalesce(CAST(:amount_minor AS bigint), amount_minor), currency,
              transfer_id, :state, CASE WHEN CAST(:state AS text) = 'open' THEN now() END
            FROM billing.transfers WHERE transfer_id = :id
        """),
        {**values, **changes, "id": charge_transfer_id, "state": state},
    )


@asynccontextmanager
async def unguarded(superuser: Database) -> AsyncIterator[AsyncConnection]:
    """What somebody with every right can do: triggers and foreign keys are asleep in here."""
    async with superuser.transaction() as connection:
        for table in ("transfers", "seals", "ledger_accounts"):
            await connection.execute(text(f"ALTER TABLE billing.{table} DISABLE TRIGGER ALL"))
        yield connection
        for table in ("transfers", "seals", "ledger_accounts"):
            await connection.execute(text(f"ALTER TABLE billing.{table} ENABLE TRIGGER ALL"))
            for suffix in ("append_only", "no_truncate"):
                await connection.execute(
                    text(f"ALTER TABLE billing.{table} ENABLE ALWAYS TRIGGER {table}_{suffix}")
                )
