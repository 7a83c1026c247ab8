"""What a person asks about a transaction: its movements, and what cancelled it.

Called by `billfleet loyalty why`. It reads and decides nothing.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Movement:
    """A movement as it was written down."""

    movement_id: int
    kind: str
    lot_id: str | None
    quantity: int
    moved_at: datetime


_MOVEMENTS = text("""
    SELECT movement_id, kind, lot_id, quantity, moved_at FROM loyalty.movements
    WHERE tenant_id = :tenant_id AND transaction_id = :transaction_id ORDER BY movement_id
""")
_CANCELLED_BY = text("""
    SELECT transaction_id FROM loyalty.transactions
    WHERE tenant_id = :tenant_id AND cancels = :transaction_id ORDER BY cancel_no
""")


async def movements_of(
    connection: AsyncConnection, tenant_id: str, transaction_id: str
) -> list[Movement]:
    """What the transaction moved, in order."""
    values = {"tenant_id": tenant_id, "transaction_id": transaction_id}
    found = (await connection.execute(_MOVEMENTS, values)).mappings()
    return [Movement(**row) for row in found]


async def cancelled_by(
    connection: AsyncConnection, tenant_id: str, transaction_id: str
) -> list[str]:
    """The cancellations of the transaction, in order."""
    values = {"tenant_id": tenant_id, "transaction_id": transaction_id}
    return list((await connection.scalars(_CANCELLED_BY, values)).all())
