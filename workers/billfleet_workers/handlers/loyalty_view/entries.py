"""Rows of PostgreSQL as entries of the transaction view. Pure.

The handler and the rebuild share it: whatever wrote an entry, it is the same one (R69). What was
refused is told to the audit trail as well.
"""

from datetime import timedelta

from billfleet_db.loyalty import ViewedTransaction
from billfleet_workers.runtime.ports.audit import AuditEntry
from billfleet_workers.runtime.ports.transaction_view import ViewEntry

_FACTS = (
    "programme_id",
    "state",
    "reason",
    "cancels",
    "is_final",
    "rules_version",
    "reward_id",
    "amount_minor",
    "currency",
    "work_id",
)


def entry_of(row: ViewedTransaction, retain: timedelta) -> ViewEntry:
    """The entry of a row: a function of the row and of how long entries are kept."""
    facts = {name: fact for name in _FACTS if (fact := getattr(row, name)) is not None}
    return ViewEntry(
        tenant=row.tenant_id,
        transaction_id=row.transaction_id,
        card_id=row.card_id,
        customer_id=row.customer_id,
        kind=row.kind,
        occurred_at=row.occurred_at,
        expires_at=row.recorded_at + retain,
        quantity=row.quantity,
        store_id=row.store_id,
        facts={**facts, "recorded_at": row.recorded_at.isoformat()},
    )


def audit_entry_of(row: ViewedTransaction, retain: timedelta) -> AuditEntry | None:
    """What the audit trail is told of a row: that it was refused, and why."""
    if row.reason is None:
        return None
    return AuditEntry(
        tenant=row.tenant_id,
        at=row.recorded_at,
        event="loyalty_refused",
        subject=row.card_id,
        reason=row.reason,
        reference=row.transaction_id,
        work_id=row.work_id,
        expires_at=row.recorded_at + retain,
    )
