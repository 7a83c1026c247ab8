"""The sweeps walk along an index: a page costs what it returns, however much else is due.

The tables are small here, so the planner is told what it would find out on large ones: that
sorting and reading everything is dear. What it still sorts then, no index gives in order.
"""

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import TextClause, text

from billfleet_db import Database, accounts, bills

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ACCOUNTS = {
    "until": date(2026, 3, 1),
    "charged_since": NOW,
    "limit": 2000,
    "after_account_id": "a1",
}
BILLS = {
    "now": NOW,
    "due_at": NOW,
    "after_tenant_id": "acme",
    "after_account_id": "a1",
    "period_start": date(2026, 3, 1),
    "tenant_id": None,
    "limit": 2000,
}


@pytest.mark.parametrize(
    ("query", "values", "index"),
    [
        (accounts._DUE_OF_ALL, {**ACCOUNTS, "after_tenant_id": "acme"}, "ix_accounts_due"),
        (accounts._DUE_OF_TENANT, {**ACCOUNTS, "tenant_id": "acme"}, "ix_accounts_due"),
        (bills._DUE, BILLS, "ix_bills_next_attempt"),
    ],
)
async def test_page_of_a_sweep_comes_out_of_its_index_in_order(
    database: Database, query: TextClause, values: dict[str, object], index: str
) -> None:
    async with database.transaction() as connection:
        for knob in ("sort", "incremental_sort", "seqscan", "bitmapscan"):
            await connection.execute(text(f"SET LOCAL enable_{knob} = off"))
        found = await connection.scalars(text(f"EXPLAIN {query.text}"), values)
        plan = "\n".join(found.all())
    assert f"using {index}" in plan
    # Above the limit a page is put in order again, which is no matter.
    assert "Sort" not in plan[plan.index("Limit") :]


async def test_charges_of_the_day_are_counted_without_reading_old_bills(
    database: Database,
) -> None:
    """R12: an account of ten years has 120 bills, each on another page."""
    values = {"tenant_id": "acme", "account_ids": ["a1"], "since": NOW}
    async with database.transaction() as connection:
        for knob in ("seqscan", "bitmapscan"):
            await connection.execute(text(f"SET LOCAL enable_{knob} = off"))
        found = await connection.scalars(text(f"EXPLAIN {accounts._CHARGES_SINCE.text}"), values)
        plan = "\n".join(found.all())
    assert "Index Only Scan using pk_bills" in plan
