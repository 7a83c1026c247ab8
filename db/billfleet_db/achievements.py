"""What the workers beside billing have achieved for one tenant, as counts.

`billfleet demo` holds them against what it asked for. The statement counts and changes nothing.
"""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_ACHIEVED = text("""
    SELECT
      (SELECT count(*) FROM mail.mails
        WHERE tenant_id = :tenant_id AND state = 'sent'
          AND template IN ('due_bills', 'nothing_due')) AS mails_sent,
      (SELECT CAST(coalesce(sum(issued), 0) AS bigint) FROM loyalty.lots
        WHERE tenant_id = :tenant_id) AS points_issued,
      (SELECT count(*) FROM analytics.events
        WHERE tenant_id = :tenant_id AND source = :source) AS events_counted,
      (SELECT CAST(coalesce(sum(rows_written), 0) AS bigint) FROM fleet.exports
        WHERE tenant_id = :tenant_id AND state = 'ready') AS rows_exported,
      (SELECT count(*) FROM billing.transfers WHERE tenant_id = :tenant_id) AS rows_of_ledger
""")


@dataclass(frozen=True, slots=True)
class Achievements:
    """Counts of one tenant. `events_counted` are those of one source."""

    mails_sent: int
    points_issued: int
    events_counted: int
    rows_exported: int
    rows_of_ledger: int


async def achievements(connection: AsyncConnection, tenant_id: str, source: str) -> Achievements:
    """Count what was achieved."""
    values = {"tenant_id": tenant_id, "source": source}
    return Achievements(**(await connection.execute(_ACHIEVED, values)).mappings().one())
