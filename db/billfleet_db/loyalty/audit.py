"""Checks the loyalty books anew: lots, cards, transactions and vouchers against their movements.

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
# A cancelled purchase counts money, not points: what was taken back of it is on its lot.
_TRANSACTIONS = """
    SELECT t.tenant_id, 'transaction ' || t.transaction_id AS subject,
           format('it says %s and its movements say %s', t.quantity, sum(m.quantity)) AS message
    FROM loyalty.transactions t
    LEFT JOIN loyalty.transactions c
      ON c.tenant_id = t.tenant_id AND c.transaction_id = t.cancels
    LEFT JOIN loyalty.movements m
      ON m.tenant_id = t.tenant_id AND m.transaction_id = t.transaction_id
     AND m.kind = CASE coalesce(c.kind, t.kind)
       WHEN 'points' THEN 'issue'
       WHEN 'stamps' THEN CASE WHEN c.kind IS NULL THEN 'stamp' ELSE 'unstamp' END
       WHEN 'redemption' THEN CASE WHEN c.kind IS NULL THEN 'spend' ELSE 'return' END
       WHEN 'expiry' THEN 'expire' END
    WHERE t.state = 'done' AND c.kind IS DISTINCT FROM 'points'
    GROUP BY t.tenant_id, t.transaction_id, t.quantity
    HAVING coalesce(sum(m.quantity), 0) <> coalesce(t.quantity, 0)
"""
# A voucher is worth a reward: it comes from stamps, is used by one redemption, and goes back into
# stamps when it is void.
_VOUCHERS = """
    SELECT tenant_id, 'transaction ' || transaction_id AS subject,
           format('it filled cards with %s stamps, and its vouchers are of %s',
                  coalesce(m.stamps, 0), coalesce(v.stamps, 0)) AS message
    FROM (SELECT tenant_id, transaction_id, sum(quantity) AS stamps FROM loyalty.movements
          WHERE kind = 'complete' GROUP BY tenant_id, transaction_id) AS m
    FULL JOIN (SELECT tenant_id, issued_by AS transaction_id, sum(stamps) AS stamps
               FROM loyalty.vouchers GROUP BY tenant_id, issued_by) AS v
      USING (tenant_id, transaction_id)
    WHERE m.stamps IS DISTINCT FROM v.stamps
    UNION ALL
    SELECT tenant_id, 'card ' || card_id,
           format('%s stamps came back from vouchers, and those that are void are of %s',
                  coalesce(m.stamps, 0), coalesce(v.stamps, 0))
    FROM (SELECT tenant_id, card_id, sum(quantity) AS stamps FROM loyalty.movements
          WHERE kind = 'reopen' GROUP BY tenant_id, card_id) AS m
    FULL JOIN (SELECT tenant_id, card_id, sum(stamps) AS stamps FROM loyalty.vouchers
               WHERE state = 'void' GROUP BY tenant_id, card_id) AS v USING (tenant_id, card_id)
    WHERE m.stamps IS DISTINCT FROM v.stamps
    UNION ALL
    SELECT tenant_id, 'voucher ' || voucher_id,
           format('redemption %s has used it, and the voucher says %s', r.used_by, v.used_by)
    FROM (SELECT t.tenant_id, t.basis ->> 'voucher' AS voucher_id, t.transaction_id AS used_by
          FROM loyalty.transactions t
          WHERE t.kind = 'redemption' AND t.state = 'done' AND t.basis ? 'voucher'
            AND NOT EXISTS (SELECT FROM loyalty.transactions c WHERE c.tenant_id = t.tenant_id
                            AND c.cancels = t.transaction_id AND c.is_final)) AS r
    FULL JOIN (SELECT tenant_id, voucher_id, used_by FROM loyalty.vouchers
               WHERE state = 'used') AS v USING (tenant_id, voucher_id)
    WHERE r.used_by IS DISTINCT FROM v.used_by
"""
_MISPLACED = """
    SELECT m.tenant_id, 'transaction ' || m.transaction_id AS subject,
           format('it is a %s %s, and has a movement of kind %s', t.state, t.kind, m.kind)
             AS message
    FROM loyalty.movements m
    JOIN loyalty.transactions t
      ON t.tenant_id = m.tenant_id AND t.transaction_id = m.transaction_id
    LEFT JOIN loyalty.transactions c
      ON c.tenant_id = t.tenant_id AND c.transaction_id = t.cancels
    WHERE t.state = 'refused' OR m.kind <> ALL (CASE t.kind
      WHEN 'points' THEN ARRAY['issue', 'recover']
      WHEN 'stamps' THEN ARRAY['stamp', 'complete']
      WHEN 'redemption' THEN ARRAY['spend']
      WHEN 'expiry' THEN ARRAY['expire']
      ELSE CASE c.kind
        WHEN 'points' THEN ARRAY['reverse', 'void', 'debt']
        WHEN 'stamps' THEN ARRAY['unstamp', 'reopen']
        ELSE ARRAY['return', 'recover', 'expire', 'issue'] END END)
"""
CHECKS: Final = {
    "lots": _LOTS,
    "cards": _CARDS,
    "transactions": _TRANSACTIONS,
    "vouchers": _VOUCHERS,
    "movements": _MISPLACED,
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
