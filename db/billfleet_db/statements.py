"""What stands above the lines of a statement: who, whose, and how much was owed before.

The export worker asks within the snapshot from which it also reads the lines.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from billfleet_db.snapshots import Snapshot

_HEAD: Final = """
    SELECT n.name AS tenant_name, c.name AS customer_name, a.account_id, a.time_zone, a.currency
    FROM billing.accounts a
    JOIN customer.customers c USING (tenant_id, customer_id)
    JOIN business.tenants n USING (tenant_id)
    WHERE a.tenant_id = $1 AND a.account_id = $2
"""
_BEFORE: Final = """
    SELECT t.currency,
           sum(CASE WHEN r.ledger_account_id = t.debit_id THEN t.amount_minor
                    ELSE -t.amount_minor END)::bigint AS owed_minor
    FROM billing.transfers t
    JOIN billing.accounts a USING (tenant_id, account_id)
    JOIN billing.ledger_accounts r
      ON r.tenant_id = t.tenant_id AND r.kind = 'receivable' AND r.account_id = t.account_id
     AND r.ledger_account_id IN (t.debit_id, t.credit_id)
    WHERE t.tenant_id = $1 AND t.account_id = $2
      AND (t.posted_at AT TIME ZONE a.time_zone)::date < $3
    GROUP BY t.currency
"""


@dataclass(frozen=True, slots=True)
class Head:
    """Who sends the statement, and to whom."""

    tenant_name: str
    customer_name: str
    account_id: str
    time_zone: str
    currency: str


async def head(snapshot: Snapshot, tenant_id: str, account_id: str) -> Head | None:
    """Who the account belongs to; None when there is no such account."""
    found = await snapshot.rows(_HEAD, tenant_id, account_id)
    return Head(**dict(found[0])) if found else None


async def owed_before(
    snapshot: Snapshot, tenant_id: str, account_id: str, day: date
) -> Mapping[str, int]:
    """What was owed when the day began, by currency."""
    found = await snapshot.rows(_BEFORE, tenant_id, account_id, day)
    return {row["currency"]: row["owed_minor"] for row in found}
