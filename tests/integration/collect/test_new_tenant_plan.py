"""A tenant that the planner knows nothing of yet must not make collecting slow."""

from datetime import date
from typing import Any

from sqlalchemy import text

from billfleet_db import Database, attempts

FILL = """
    INSERT INTO business.tenants (tenant_id, name, currency) VALUES ('fresh', 'Fresh', 'USD');
    INSERT INTO customer.customers (tenant_id, customer_id, name)
      SELECT 'fresh', 'C-' || n, 'N' FROM generate_series(1, 3000) n;
    INSERT INTO billing.accounts (tenant_id, account_id, customer_id, amount_minor, currency,
        anchor_day, time_zone, rebilling_date)
      SELECT 'fresh', 'A-' || n, 'C-' || n, 100, 'USD', 31, 'UTC', '2026-02-28'
      FROM generate_series(1, 3000) n;
    INSERT INTO billing.ledger_accounts (tenant_id, kind, currency)
      VALUES ('fresh', 'revenue', 'USD');
    INSERT INTO billing.ledger_accounts (tenant_id, kind, account_id, currency)
      SELECT 'fresh', 'receivable', 'A-' || n, 'USD' FROM generate_series(1, 3000) n;
    WITH charged AS (
      INSERT INTO billing.transfers (tenant_id, transfer_key, kind, account_id, period_start,
          debit_id, credit_id, amount_minor, currency, work_id)
        SELECT 'fresh', 'charge:' || r.account_id, 'charge', r.account_id, '2026-01-31',
               r.ledger_account_id, v.ledger_account_id, 100, 'USD', 'w'
        FROM billing.ledger_accounts r, billing.ledger_accounts v
        WHERE r.kind = 'receivable' AND v.kind = 'revenue'
      RETURNING *)
    INSERT INTO billing.bills (tenant_id, account_id, period_start, period_end, amount_minor,
        currency, charge_transfer_id, state)
      SELECT tenant_id, account_id, period_start, '2026-02-27', 100, 'USD', transfer_id, 'open'
      FROM charged;
    INSERT INTO billing.attempts (tenant_id, account_id, period_start, attempt_no, attempt_key,
        gateway, request_body, amount_minor, currency, state, work_id)
      SELECT 'fresh', 'A-' || n, '2026-01-31', 1, 'k-' || n, 'log', '{}', 100, 'USD',
             'declined', 'w'
      FROM generate_series(1, 3000) n
"""


def rows_touched(plan: dict[str, Any]) -> float:
    """Rows that a node and those below it produced or threw away, over all its loops."""
    removed = sum(plan.get(f"Rows Removed by {what}", 0) for what in ("Filter", "Join Filter"))
    own = (plan["Actual Rows"] + removed) * plan["Actual Loops"]
    return float(own + sum(rows_touched(below) for below in plan.get("Plans", ())))


async def test_attempts_of_a_hundred_accounts_are_found_without_reading_the_tenants_others(
    superuser_database: Database,
) -> None:
    accounts = [f"A-{number}" for number in range(1, 101)]
    asked = {
        "tenant_id": "fresh",
        "account_ids": accounts,
        "bill_accounts": accounts,
        "bill_periods": [date(2026, 1, 31)] * len(accounts),
    }
    async with superuser_database.transaction() as connection:
        for table in ("billing.bills", "billing.attempts"):
            await connection.execute(text(f"ALTER TABLE {table} SET (autovacuum_enabled = off)"))
        for statement in FILL.split(";"):
            await connection.execute(text(statement))
        explained = await connection.execute(
            text(f"EXPLAIN (ANALYZE, FORMAT JSON) {attempts._OF_ACCOUNTS.text}"), asked
        )
        (plan,) = explained.scalar_one()
        found = await attempts.lock_of_accounts(
            connection, "fresh", accounts, [(account, date(2026, 1, 31)) for account in accounts]
        )
    assert {attempt.account_id for attempt in found} == set(accounts)
    assert rows_touched(plan["Plan"]) < 20_000
