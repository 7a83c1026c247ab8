"""Checks the loyalty books anew: lots against their movements, cards against theirs.

Called by `billfleet loyalty verify` and by tests, at REPEATABLE READ. It trusts nothing that the
worker computed, changes nothing, and finds rather than raises.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

FINDINGS_PER_CHECK_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class LoyaltyFinding:
    """Something that is not as it must be."""

    check: str
    tenant_id: str
    subject: str
    message: str


# Of each lot: what its movements add up to, against what its row says (R60).
_LOTS = """
    WITH moved AS (
      SELECT tenant_id, lot_id,
             sum(quantity) FILTER (WHERE kind = 'issue') AS issued,
             coalesce(sum(quantity) FILTER (WHERE kind IN ('spend', 'recover')), 0)
               - coalesce(sum(quantity) FILTER (WHERE kind = 'return'), 0) AS spent,
             coalesce(sum(quantity) FILTER (WHERE kind = 'expire'), 0) AS expired,
             coalesce(sum(quantity) FILTER (WHERE kind = 'reverse'), 0) AS reversed,
             coalesce(sum(quantity) FILTER (WHERE kind = 'void'), 0) AS voided,
             coalesce(sum(quantity) FILTER (WHERE kind = 'debt'), 0) AS owed
      FROM loyalty.movements WHERE lot_id IS NOT NULL GROUP BY tenant_id, lot_id)
    SELECT l.tenant_id, 'lot ' || l.lot_id AS subject,
           format('the row says %s spent, %s expired, %s reversed, %s remaining of %s; the '
                  'movements say %s, %s, %s of %s', l.spent, l.expired, l.reversed, l.remaining,
                  l.issued, m.spent, m.expired, m.reversed, m.issued) AS message
    FROM loyalty.lots l LEFT JOIN moved m USING (tenant_id, lot_id)
    WHERE m.issued IS DISTINCT FROM l.issued OR m.spent <> l.spent OR m.expired <> l.expired
       OR m.reversed <> l.reversed OR m.voided <> l.voided OR m.owed <> l.owed
       OR l.issued <> l.spent + l.expired + l.reversed + l.remaining OR l.remaining < 0
"""
_CARDS = """
    WITH moved AS (
      SELECT tenant_id, card_id,
             coalesce(sum(quantity) FILTER (WHERE kind = 'debt'), 0)
               - coalesce(sum(quantity) FILTER (WHERE kind = 'recover'), 0) AS debt,
             coalesce(sum(quantity) FILTER (WHERE kind IN ('stamp', 'reopen')), 0)
               - coalesce(sum(quantity) FILTER (WHERE kind IN ('unstamp', 'complete')), 0) AS stamps
      FROM loyalty.movements GROUP BY tenant_id, card_id)
    SELECT c.tenant_id, 'card ' || c.card_id AS subject,
           format('the row says %s points of debt and %s stamps; the movements say %s and %s',
                  c.debt_points, c.stamps, m.debt, m.stamps) AS message
    FROM loyalty.cards c LEFT JOIN moved m USING (tenant_id, card_id)
    WHERE c.debt_points <> coalesce(m.debt, 0) OR c.stamps <> coalesce(m.stamps, 0)
"""
_REDEMPTIONS = """
    SELECT t.tenant_id, 'transaction ' || t.transaction_id AS subject,
           format('%s points were asked for and %s were spent', t.quantity, sum(m.quantity))
             AS message
    FROM loyalty.transactions t
    LEFT JOIN loyalty.movements m
      ON m.tenant_id = t.tenant_id AND m.transaction_id = t.transaction_id AND m.kind = 'spend'
    WHERE t.kind = 'redemption' AND t.state = 'done'
    GROUP BY t.tenant_id, t.transaction_id, t.quantity
    HAVING coalesce(sum(m.quantity), 0) <> t.quantity
"""
_REFUSED = """
    SELECT m.tenant_id, 'transaction ' || m.transaction_id AS subject,
           'it was refused and has movements' AS message
    FROM loyalty.movements m JOIN loyalty.transactions t USING (tenant_id, transaction_id)
    WHERE t.state = 'refused'
"""
CHECKS: Final = {
    "lots": _LOTS,
    "cards": _CARDS,
    "redemptions": _REDEMPTIONS,
    "refused": _REFUSED,
}


async def verify(connection: AsyncConnection, tenant_id: str | None = None) -> list[LoyaltyFinding]:
    """Everything that is wrong with one tenant's loyalty books, or with all; the caller has named
    whose rows it may see.
    """
    findings: list[LoyaltyFinding] = []
    for check, query in CHECKS.items():
        wrapped = text(f"""
            SELECT tenant_id, subject, message FROM ({query}) AS found
            WHERE tenant_id = :tenant_id OR CAST(:tenant_id AS text) IS NULL
            ORDER BY tenant_id, subject LIMIT {FINDINGS_PER_CHECK_MAX}
        """)
        rows = await connection.execute(wrapped, {"tenant_id": tenant_id})
        findings += [LoyaltyFinding(check, *row) for row in rows]
    return findings
