"""The statements of an import: the staging table, the comparison, and the writes.

Used by `importing` alone. Statements that depend on which columns a file speaks of are composed
here from the names of our own columns; every value is bound.
"""

from collections.abc import Collection, Mapping

from sqlalchemy import text

# An operator's column → how the staged value is compared, in the tables it ends up in.
ACCOUNT_COLUMNS = {
    "plan": "plan_id",
    "amount": "amount_minor",
    "currency": "currency",
    "interval_months": "interval_months",
    "commitment_months": "commitment_months",
    "anchor_day": "anchor_day",
    "time_zone": "time_zone",
    "payment_method": "payment_method",
}
CUSTOMER_COLUMNS = {"name": "name", "email": "email", "locale": "locale"}
CREATE_STAGING = text("""
    CREATE TEMP TABLE staged_accounts (
      line bigint PRIMARY KEY, account_id text NOT NULL, name text NOT NULL, email text,
      locale text NOT NULL, plan_id text, amount_minor bigint, currency text NOT NULL,
      interval_months int, commitment_months int NOT NULL, anchor_day smallint NOT NULL,
      time_zone text NOT NULL, rebilling_date date NOT NULL, state text NOT NULL,
      payment_method text,
      is_new boolean, is_billed boolean, is_kept boolean, changed text[]
    ) ON COMMIT DROP
""")

# An account that stays with its plan keeps its price and interval where the file is silent about
# them. Whoever moves to another plan or currency takes over the plan's, as a new account does: the
# old number would be another amount in the new currency, or a year's price every month.
KEEP_TERMS = text("""
    UPDATE pg_temp.staged_accounts s
    SET amount_minor = CASE WHEN CAST(:speaks_of_amount AS boolean) THEN s.amount_minor
                            ELSE a.amount_minor END,
        interval_months = CASE WHEN CAST(:speaks_of_interval AS boolean) THEN s.interval_months
                               ELSE a.interval_months END
    FROM billing.accounts a
    WHERE a.tenant_id = :tenant AND a.account_id = s.account_id
      AND (s.plan_id IS NULL OR (s.plan_id, s.currency) = (a.plan_id, a.currency))
""")

FILL_FROM_PLANS = text("""
    UPDATE pg_temp.staged_accounts s
    SET interval_months = coalesce(s.interval_months, p.interval_months),
        amount_minor = coalesce(s.amount_minor,
                                CASE WHEN p.currency = s.currency THEN p.amount_minor END)
    FROM business.plans p
    WHERE p.tenant_id = :tenant AND p.plan_id = s.plan_id
      AND (s.amount_minor IS NULL OR s.interval_months IS NULL)
""")

FILL_DEFAULTS = text("""
    UPDATE pg_temp.staged_accounts s
    SET interval_months = coalesce(
      (SELECT a.interval_months FROM billing.accounts a
       WHERE a.tenant_id = :tenant AND a.account_id = s.account_id
         AND NOT CAST(:speaks_of_interval AS boolean)), 1)
    WHERE s.interval_months IS NULL
""")

# Until the first bill an account's schedule is what its file says; from then on it is the fleet's.
CLASSIFY = """
    UPDATE pg_temp.staged_accounts t
    SET is_new = found.account_id IS NULL, is_billed = found.is_billed,
        is_kept = coalesce(found.is_kept, false),
        changed = CASE WHEN found.account_id IS NULL THEN '{{}}' ELSE found.changed END
    FROM (
      SELECT s.line, a.account_id, b.is_billed,
             ({speaks_of_date} AND b.is_billed AND s.rebilling_date <> a.rebilling_date)
               OR ({speaks_of_state} AND s.state <> a.state) AS is_kept,
             array_remove(ARRAY[
               CASE WHEN {speaks_of_date} AND NOT b.is_billed
                         AND s.rebilling_date <> a.rebilling_date THEN 'rebilling_date' END
               {differs}]::text[], NULL) AS changed
      FROM pg_temp.staged_accounts s
      LEFT JOIN billing.accounts a ON a.tenant_id = :tenant AND a.account_id = s.account_id
      LEFT JOIN customer.customers c
             ON c.tenant_id = a.tenant_id AND c.customer_id = a.customer_id
      CROSS JOIN LATERAL (
        SELECT EXISTS (SELECT FROM billing.bills
                       WHERE tenant_id = :tenant AND account_id = s.account_id) AS is_billed) b
    ) found
    WHERE found.line = t.line
"""

PROBLEMS = text("""
    SELECT line, account_id, 'repeated' AS kind, first_line::text AS detail
    FROM (SELECT line, account_id,
                 min(line) OVER (PARTITION BY account_id) AS first_line
          FROM pg_temp.staged_accounts) r
    WHERE line <> first_line
    UNION ALL
    SELECT line, account_id, 'zone', time_zone FROM pg_temp.staged_accounts
    WHERE time_zone IN (
      SELECT time_zone FROM (SELECT DISTINCT time_zone FROM pg_temp.staged_accounts) z
      EXCEPT SELECT name FROM pg_timezone_names)
    UNION ALL
    SELECT line, account_id, 'no_amount', coalesce(plan_id, '') FROM pg_temp.staged_accounts
    WHERE amount_minor IS NULL
    UNION ALL
    SELECT line, account_id, 'anchor_fixed', anchor_day::text FROM pg_temp.staged_accounts
    WHERE is_billed AND 'anchor_day' = ANY(changed)
    UNION ALL
    SELECT line, account_id, 'changed', array_to_string(changed, ', ')
    FROM pg_temp.staged_accounts
    WHERE NOT :may_update AND cardinality(changed) > 0
      AND NOT (is_billed AND 'anchor_day' = ANY(changed))
    ORDER BY line
""")

INSERT_TENANT = text("""
    INSERT INTO business.tenants (tenant_id, name, currency, time_zone)
    SELECT :tenant, :tenant, mode() WITHIN GROUP (ORDER BY currency),
           mode() WITHIN GROUP (ORDER BY time_zone)
    FROM pg_temp.staged_accounts HAVING count(*) > 0
    ON CONFLICT DO NOTHING
""")

INSERT_PLANS = text("""
    INSERT INTO business.plans (tenant_id, plan_id, name, amount_minor, currency, interval_months)
    SELECT DISTINCT ON (plan_id) :tenant, plan_id, plan_id, amount_minor, currency, interval_months
    FROM pg_temp.staged_accounts WHERE plan_id IS NOT NULL ORDER BY plan_id, line
    ON CONFLICT DO NOTHING
""")

INSERT_CUSTOMERS = text("""
    INSERT INTO customer.customers (tenant_id, customer_id, name, email, locale)
    SELECT :tenant, account_id, name, email, locale
    FROM pg_temp.staged_accounts WHERE is_new ORDER BY account_id
    ON CONFLICT DO NOTHING
""")

INSERT_ACCOUNTS = text("""
    INSERT INTO billing.accounts (
      tenant_id, account_id, customer_id, plan_id, amount_minor, currency, interval_months,
      commitment_months, anchor_day, time_zone, rebilling_date, state, payment_method)
    SELECT :tenant, account_id, account_id, plan_id, amount_minor, currency, interval_months,
           commitment_months, anchor_day, time_zone, rebilling_date, state, payment_method
    FROM pg_temp.staged_accounts WHERE is_new ORDER BY account_id
""")

LOCK_CHANGED = text("""
    SELECT a.account_id FROM billing.accounts a
    JOIN pg_temp.staged_accounts s ON s.account_id = a.account_id
    WHERE a.tenant_id = :tenant AND cardinality(s.changed) > 0
    ORDER BY a.account_id FOR NO KEY UPDATE OF a
""")

# Whether an account was billed is asked again here, under the lock, because a worker may have
# billed it since the comparison. A new schedule is a new generation: older messages are stale.
UPDATE_ACCOUNTS = """
    UPDATE billing.accounts a
    SET {assignments}
        payment_method_version = a.payment_method_version
          + CASE WHEN 'payment_method' = ANY(s.changed) THEN 1 ELSE 0 END,
        anchor_day = CASE WHEN s.moves THEN s.anchor_day ELSE a.anchor_day END,
        rebilling_date = CASE WHEN s.moves THEN s.rebilling_date ELSE a.rebilling_date END,
        generation = a.generation + CASE WHEN s.moves THEN 1 ELSE 0 END,
        updated_at = now()
    FROM (
      SELECT *, changed && ARRAY['rebilling_date', 'anchor_day'] AND NOT EXISTS (
               SELECT FROM billing.bills b
               WHERE b.tenant_id = :tenant AND b.account_id = p.account_id) AS moves
      FROM pg_temp.staged_accounts p WHERE cardinality(changed) > 0
    ) s
    WHERE a.tenant_id = :tenant AND a.account_id = s.account_id
"""

PAYING_ANEW = text("""
    SELECT account_id, now() AS now FROM pg_temp.staged_accounts
    WHERE 'payment_method' = ANY(changed) AND payment_method IS NOT NULL
""")

UPDATE_CUSTOMERS = """
    UPDATE customer.customers c SET {assignments} customer_id = c.customer_id
    FROM billing.accounts a JOIN pg_temp.staged_accounts s ON s.account_id = a.account_id
    WHERE a.tenant_id = :tenant AND cardinality(s.changed) > 0
      AND c.tenant_id = a.tenant_id AND c.customer_id = a.customer_id
"""

COUNT_UNTOUCHED = text("""
    SELECT count(*) FILTER (WHERE NOT is_new AND cardinality(changed) = 0) AS unchanged,
           count(*) FILTER (WHERE is_kept) AS kept,
           min(rebilling_date) FILTER (WHERE is_new) AS first_due_on,
           max(rebilling_date) FILTER (WHERE is_new) AS last_due_on
    FROM pg_temp.staged_accounts
""")


def classification(provided: Collection[str]) -> str:
    """Mark each row as new, or with the columns in which it differs from what is there."""
    differs = [
        f", CASE WHEN s.{column} IS DISTINCT FROM {table}.{column} THEN '{name}' END"
        for table, columns in (("a", ACCOUNT_COLUMNS), ("c", CUSTOMER_COLUMNS))
        for name, column in columns.items()
        if name in provided
    ]
    return CLASSIFY.format(
        differs="".join(differs),
        speaks_of_date="true" if "rebilling_date" in provided else "false",
        speaks_of_state="true" if "state" in provided else "false",
    )


def assignments(columns: Mapping[str, str], provided: Collection[str]) -> str:
    """The SET list for the columns that the file speaks of; the anchor moves with its date."""
    named = [column for name, column in columns.items() if name in provided]
    return "".join(f"{column} = s.{column}, " for column in named if column != "anchor_day")
