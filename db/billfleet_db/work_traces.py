"""What a piece of work has left behind, by its id.

The front door asks for work that the outbox no longer knows. It reads, and decides nothing.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class LedgerTrace:
    """Transfers that were posted for one piece of work."""

    transfers: int
    last_at: datetime


_IN_LEDGER = text("""
    SELECT count(*) AS transfers, max(posted_at) AS last_at FROM billing.transfers
    WHERE tenant_id = :tenant_id AND work_id = :work_id
""")


async def in_ledger(
    connection: AsyncConnection, tenant_id: str, work_id: str
) -> LedgerTrace | None:
    """The transfers of this work; None where there are none."""
    values = {"tenant_id": tenant_id, "work_id": work_id}
    row = (await connection.execute(_IN_LEDGER, values)).mappings().one()
    return LedgerTrace(row["transfers"], row["last_at"]) if row["transfers"] else None
