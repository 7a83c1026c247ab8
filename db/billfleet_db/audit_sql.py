"""The questions that an audit asks, one query each; every row answered is a finding.

Called by `verify`. Each query returns tenant_id, subject and message. BOOKS take :tenant_id (NULL
for all) and :limit; GUARDS take the names of the roles.
"""

from collections.abc import Mapping
from typing import Final

from billfleet_db.ledger.posting import SIDES
from billfleet_db.ledger.reading import CAPTURED, REFUNDED

_OF_TENANT = "(:tenant_id = {0}.tenant_id OR CAST(:tenant_id AS text) IS NULL)"

# Money per bill and currency, summed from the rows: what was charged, captured, refunded, reversals
# counted off.
_MONEY = f"""
    SELECT t.tenant_id, t.account_id, t.period_start, t.currency,
           sum(CASE WHEN d.kind = 'receivable' AND c.kind = 'revenue' THEN t.amount_minor
                    WHEN d.kind = 'revenue' AND c.kind = 'receivable' THEN -t.amount_minor
                    ELSE 0 END) AS charged,
           sum({CAPTURED}) AS captured,
           sum({REFUNDED}) AS refunded
    FROM billing.transfers t
    JOIN billing.ledger_accounts d ON d.ledger_account_id = t.debit_id
    JOIN billing.ledger_accounts c ON c.ledger_account_id = t.credit_id
    WHERE {_OF_TENANT.format("t")}
    GROUP BY t.tenant_id, t.account_id, t.period_start, t.currency
"""
_OF_BILL = "USING (tenant_id, account_id, period_start, currency)"
_BILL = "b.account_id || ' ' || b.period_start AS subject"

_UNBALANCED = f"""
    SELECT tenant_id, currency AS subject,
           'debits are ' || sum(debit) || ' and credits ' || sum(credit) AS message
    FROM (
      SELECT la.tenant_id, la.currency, t.amount_minor AS debit, 0 AS credit
      FROM billing.transfers t JOIN billing.ledger_accounts la ON la.ledger_account_id = t.debit_id
      WHERE {_OF_TENANT.format("t")}
      UNION ALL
      SELECT la.tenant_id, la.currency, 0, t.amount_minor
      FROM billing.transfers t JOIN billing.ledger_accounts la ON la.ledger_account_id = t.credit_id
      WHERE {_OF_TENANT.format("t")}
    ) AS side
    GROUP BY tenant_id, currency HAVING sum(debit) <> sum(credit) LIMIT :limit
"""
_LEGAL_SIDES = ", ".join(
    f"('{kind}', '{debit}', '{credit}')" for kind, (debit, credit) in SIDES.items()
)
_CROSSED_SIDES = f"""
    SELECT t.tenant_id, 'transfer ' || t.transfer_id AS subject,
           'its sides are not those of a ' || t.kind || ', belong to another tenant, currency or '
           || 'account, or do not exist' AS message
    FROM billing.transfers t
    LEFT JOIN billing.ledger_accounts d ON d.ledger_account_id = t.debit_id
    LEFT JOIN billing.ledger_accounts c ON c.ledger_account_id = t.credit_id
    WHERE {_OF_TENANT.format("t")} AND (
      (d.tenant_id, d.currency, coalesce(d.account_id, t.account_id))
        IS DISTINCT FROM (t.tenant_id, t.currency, t.account_id)
      OR (c.tenant_id, c.currency, coalesce(c.account_id, t.account_id))
        IS DISTINCT FROM (t.tenant_id, t.currency, t.account_id)
      OR (t.kind <> 'reversal' AND (t.kind, d.kind, c.kind) NOT IN ({_LEGAL_SIDES})))
    LIMIT :limit
"""
_WRONG_REVERSAL = f"""
    SELECT t.tenant_id, 'transfer ' || t.transfer_id AS subject,
           'it is not the exact opposite of transfer ' || t.reverses AS message
    FROM billing.transfers t JOIN billing.transfers o ON o.transfer_id = t.reverses
    WHERE {_OF_TENANT.format("t")} AND
      (t.tenant_id, t.account_id, t.period_start, t.debit_id, t.credit_id, t.amount_minor,
       t.currency)
      IS DISTINCT FROM
      (o.tenant_id, o.account_id, o.period_start, o.credit_id, o.debit_id, o.amount_minor,
       o.currency)
    LIMIT :limit
"""
_BILL_WITHOUT_CHARGE = f"""
    SELECT b.tenant_id, {_BILL},
           'its charge, transfer ' || b.charge_transfer_id || ', is missing or says another '
           || 'amount, currency or period' AS message
    FROM billing.bills b LEFT JOIN billing.transfers t ON t.transfer_id = b.charge_transfer_id
    WHERE {_OF_TENANT.format("b")} AND
      (t.kind, t.tenant_id, t.account_id, t.period_start, t.amount_minor, t.currency)
      IS DISTINCT FROM
      ('charge', b.tenant_id, b.account_id, b.period_start, b.amount_minor, b.currency)
    LIMIT :limit
"""
_CHARGE_WITHOUT_BILL = f"""
    SELECT b.tenant_id, {_BILL}, 'charge ' || b.transfer_id || ' has no bill' AS message
    FROM billing.transfers b
    WHERE b.kind = 'charge' AND {_OF_TENANT.format("b")} AND NOT EXISTS (
      SELECT FROM billing.bills x WHERE x.charge_transfer_id = b.transfer_id)
    LIMIT :limit
"""
# What was taken twice may have been given back; what was given back of one payment leaves it paid.
_PAID = f"""
    WITH money AS ({_MONEY})
    SELECT b.tenant_id, {_BILL},
           'it is ' || b.state || ', with ' || coalesce(m.captured, 0) || ' captured of '
           || b.amount_minor || ' ' || b.currency || ', ' || coalesce(m.refunded, 0)
           || ' of it given back' AS message
    FROM billing.bills b LEFT JOIN money m {_OF_BILL}
    WHERE {_OF_TENANT.format("b")} AND CASE b.state
      WHEN 'paid' THEN coalesce(m.captured, 0) < b.amount_minor
        OR coalesce(m.captured - m.refunded, 0) > b.amount_minor
      ELSE coalesce(m.captured, 0) <> 0 END
    LIMIT :limit
"""
_MONEY_WITHOUT_BILL = f"""
    WITH b AS ({_MONEY})
    SELECT b.tenant_id, {_BILL},
           b.captured || ' captured and ' || b.refunded || ' given back in ' || b.currency
           || ', and there is no bill in it' AS message
    FROM b LEFT JOIN billing.bills x {_OF_BILL}
    WHERE x.tenant_id IS NULL AND (b.captured, b.refunded) <> (0, 0)
    LIMIT :limit
"""
# No sweep ever finds such a bill.
_FORGOTTEN = f"""
    SELECT b.tenant_id, {_BILL}, 'it is open, and nothing says when or why not it is collected'
             AS message
    FROM billing.bills b
    WHERE {_OF_TENANT.format("b")}
      AND b.state = 'open' AND b.next_attempt_at IS NULL AND b.collection_note IS NULL
    LIMIT :limit
"""
_VOID = f"""
    WITH money AS ({_MONEY})
    SELECT b.tenant_id, {_BILL},
           'it is ' || b.state || ', but ' || coalesce(m.charged, 0) || ' of '
           || b.amount_minor || ' stand charged' AS message
    FROM billing.bills b LEFT JOIN money m {_OF_BILL}
    WHERE {_OF_TENANT.format("b")}
      AND coalesce(m.charged, 0) <> CASE b.state WHEN 'void' THEN 0 ELSE b.amount_minor END
    LIMIT :limit
"""
# A payment stands while it was reversed an even number of times, each row undoing the one before.
_ATTEMPT = f"""
    WITH RECURSIVE undone AS (
      SELECT p.transfer_id AS payment_id, t.transfer_id, 1 AS depth
      FROM billing.transfers p JOIN billing.transfers t ON t.reverses = p.transfer_id
      WHERE p.kind = 'payment' AND {_OF_TENANT.format("p")}
      UNION ALL
      SELECT u.payment_id, t.transfer_id, u.depth + 1
      FROM undone u JOIN billing.transfers t ON t.reverses = u.transfer_id
    ), taken_back AS (
      SELECT payment_id, max(depth) % 2 = 1 AS is_undone FROM undone GROUP BY payment_id
    ), money AS (
      SELECT a.tenant_id, a.attempt_key, a.state,
             p.transfer_id IS NOT NULL AND NOT coalesce(u.is_undone, false) AS stands
      FROM billing.attempts a
      LEFT JOIN billing.transfers p
        ON p.tenant_id = a.tenant_id AND p.transfer_key = 'payment:' || a.attempt_key
      LEFT JOIN taken_back u ON u.payment_id = p.transfer_id
      WHERE {_OF_TENANT.format("a")}
    )
    SELECT tenant_id, 'attempt ' || attempt_key AS subject,
           'it is ' || state || ', and its payment '
           || CASE WHEN stands THEN 'stands' ELSE 'does not stand' END || ' in the ledger'
             AS message
    FROM money WHERE (state = 'succeeded') <> stands
    LIMIT :limit
"""
_PAYMENT_WITHOUT_ATTEMPT = f"""
    SELECT p.tenant_id, 'transfer ' || p.transfer_id AS subject,
           'no attempt of its key asked for ' || p.amount_minor || ' ' || p.currency
           || ' for this account and period' AS message
    FROM billing.transfers p
    WHERE p.kind = 'payment' AND {_OF_TENANT.format("p")} AND NOT EXISTS (
      SELECT FROM billing.attempts a
      WHERE a.tenant_id = p.tenant_id AND 'payment:' || a.attempt_key = p.transfer_key
        AND (a.account_id, a.period_start, a.amount_minor, a.currency)
          = (p.account_id, p.period_start, p.amount_minor, p.currency))
    LIMIT :limit
"""
_OVER_REFUNDED = f"""
    WITH b AS ({_MONEY})
    SELECT b.tenant_id, {_BILL},
           b.refunded || ' refunded of ' || b.captured || ' captured' AS message
    FROM b WHERE b.refunded > b.captured LIMIT :limit
"""
_BILLED_TWICE = f"""
    SELECT b.tenant_id, {_BILL}, 'it overlaps the bill from ' || b.other AS message
    FROM (SELECT tenant_id, account_id, period_start,
                 lag(period_start) OVER account AS other, lag(period_end) OVER account AS other_end
          FROM billing.bills WHERE state <> 'void'
          WINDOW account AS (PARTITION BY tenant_id, account_id ORDER BY period_start)) AS b
    WHERE {_OF_TENANT.format("b")} AND b.period_start <= b.other_end
    UNION ALL
    SELECT b.tenant_id, {_BILL}, 'it was charged ' || count(*) || ' times' AS message
    FROM billing.transfers b WHERE b.kind = 'charge' AND {_OF_TENANT.format("b")}
    GROUP BY b.tenant_id, b.account_id, b.period_start HAVING count(*) > 1
    LIMIT :limit
"""
# Periods that an account was not billed for because it was INACTIVE are on record as refused.
_LEFT_OUT = """EXISTS (
        SELECT FROM billing.refusals r WHERE r.tenant_id = b.tenant_id
          AND r.account_id = b.account_id AND r.reason = 'inactive_time' AND r.period_start = {})"""
_LEFT_OUT_OF_ACCOUNT = _LEFT_OUT.replace("b.tenant_id", "a.tenant_id").replace(
    "b.account_id", "a.account_id"
)
_PERIOD_GAP = f"""
    SELECT b.tenant_id, {_BILL}, 'nothing was billed after ' || b.other_end AS message
    FROM (SELECT tenant_id, account_id, period_start, lag(period_end) OVER account AS other_end
          FROM billing.bills
          WINDOW account AS (PARTITION BY tenant_id, account_id ORDER BY period_start)) AS b
    WHERE {_OF_TENANT.format("b")} AND b.period_start > b.other_end + 1
      AND NOT {_LEFT_OUT.format("b.other_end + 1")}
    LIMIT :limit
"""
_NEXT_DATE = f"""
    SELECT a.tenant_id, a.account_id AS subject,
           'billed up to ' || max(b.period_end) || ', but due next on ' || a.rebilling_date
             AS message
    FROM billing.accounts a JOIN billing.bills b USING (tenant_id, account_id)
    WHERE {_OF_TENANT.format("a")} AND a.state <> 'INACTIVE'
    GROUP BY a.tenant_id, a.account_id HAVING a.rebilling_date <> max(b.period_end) + 1
      AND NOT (a.rebilling_date > max(b.period_end) + 1
               AND {_LEFT_OUT_OF_ACCOUNT.format("max(b.period_end) + 1")})
    LIMIT :limit
"""

_BESIDE_ANCHOR = f"""
    SELECT a.tenant_id, a.account_id AS subject,
           'due next on ' || a.rebilling_date || ', which is not day ' || a.anchor_day
             || ' of its month: that period is longer or shorter than the others' AS message
    FROM billing.accounts a
    WHERE {_OF_TENANT.format("a")} AND extract(day FROM a.rebilling_date) <> least(
      a.anchor_day,
      extract(day FROM date_trunc('month', a.rebilling_date) + interval '1 month - 1 day'))
    LIMIT :limit
"""

BOOKS: Final[Mapping[str, str]] = {
    "balance": _UNBALANCED,
    "sides": _CROSSED_SIDES,
    "reversal": _WRONG_REVERSAL,
    "bill_charge": _BILL_WITHOUT_CHARGE,
    "charge_bill": _CHARGE_WITHOUT_BILL,
    "paid": _PAID,
    "money_bill": _MONEY_WITHOUT_BILL,
    "forgotten": _FORGOTTEN,
    "void": _VOID,
    "attempt": _ATTEMPT,
    "payment_attempt": _PAYMENT_WITHOUT_ATTEMPT,
    "refunded": _OVER_REFUNDED,
    "billed_twice": _BILLED_TWICE,
    "period_gap": _PERIOD_GAP,
    "next_date": _NEXT_DATE,
    "anchor": _BESIDE_ANCHOR,
}

WARNINGS: Final = frozenset({"period_gap", "next_date", "anchor"})

_TRIGGERS = """
    SELECT CAST(NULL AS text) AS tenant_id, 'billing.' || w.tab AS subject,
           'trigger ' || w.trig || CASE WHEN t.tgname IS NULL THEN ' is missing'
             ELSE ' is not enabled always' END AS message
    FROM (SELECT tab, tab || suffix AS trig
          FROM unnest(ARRAY['transfers', 'ledger_accounts', 'seals']) AS tab,
               unnest(ARRAY['_append_only', '_no_truncate']) AS suffix) AS w
    LEFT JOIN pg_trigger t
      ON t.tgname = w.trig AND t.tgrelid = to_regclass('billing.' || w.tab)
    WHERE t.tgenabled IS DISTINCT FROM 'A'
      AND CAST(:app_role AS text) IS NOT NULL AND CAST(:owner_role AS text) IS NOT NULL
"""
_ROLES = """
    SELECT CAST(NULL AS text) AS tenant_id, 'billing.' || w.tab AS subject,
           'role ' || :app_role || ' ' || w.what AS message
    FROM (
      SELECT c.relname AS tab, r.rolname AS app, 'owns it or is a member of its owner' AS what
      FROM pg_class c CROSS JOIN pg_roles r
      WHERE c.relnamespace = to_regnamespace('billing') AND c.relkind = 'r'
        AND (pg_has_role(r.oid, c.relowner, 'MEMBER') OR pg_has_role(r.oid, :owner_role, 'MEMBER'))
      UNION ALL
      SELECT c.relname, r.rolname, 'may ' || p
      FROM pg_class c CROSS JOIN pg_roles r
      CROSS JOIN unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS p
      WHERE c.relnamespace = to_regnamespace('billing')
        AND c.relname IN ('transfers', 'ledger_accounts', 'seals')
        AND (has_table_privilege(r.oid, c.oid, p)
             OR (p = 'UPDATE' AND has_any_column_privilege(r.oid, c.oid, p)))
    ) AS w
    WHERE w.app = :app_role
"""

GUARDS: Final[Mapping[str, str]] = {"triggers": _TRIGGERS, "roles": _ROLES}
