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


@dataclass(frozen=True, slots=True)
class Ended:
    """How the latest delivery of the work ended, as the beats of workers told it."""

    outcome: str
    at: datetime
    note: str
    error_class: str


_ENDED = text("""
    SELECT outcome, at, note, error_class FROM fleet.deliveries
    WHERE tenant_id = :tenant_id AND event_id = :work_id AND outcome <> 'duplicate'
    ORDER BY at DESC, delivery_id DESC LIMIT 1
""")
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


async def latest_delivery(
    connection: AsyncConnection, tenant_id: str, work_id: str
) -> Ended | None:
    """How the work's latest delivery ended; None where none has, or nobody told it yet."""
    values = {"tenant_id": tenant_id, "work_id": work_id}
    row = (await connection.execute(_ENDED, values)).mappings().one_or_none()
    return None if row is None else Ended(**row)
