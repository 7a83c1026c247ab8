"""A small company to post against: two tenants with three accounts each."""

import pytest
from sqlalchemy import text

from billfleet_db import Database
from billfleet_db.customers import Customer, upsert_customers
from billfleet_db.tenants import Tenant, ensure_tenant
from ledger_examples import ACCOUNTS


@pytest.fixture
async def company(database: Database) -> Database:
    """The test's database with tenants `acme` and `bolt`, and their accounts."""
    async with database.transaction() as connection:
        for tenant_id in ("acme", "bolt"):
            await ensure_tenant(connection, Tenant(tenant_id, tenant_id.title(), "USD"))
            await upsert_customers(connection, [Customer(tenant_id, "cus-1", "Ada")])
            await connection.execute(
                text("""
                    INSERT INTO billing.accounts (tenant_id, account_id, customer_id, amount_minor,
                      currency, anchor_day, time_zone, rebilling_date)
                    SELECT :tenant_id, a, 'cus-1', 2985, 'USD', 1, 'UTC', '2025-02-01'
                    FROM unnest(CAST(:account_ids AS text[])) AS a
                """),
                {"tenant_id": tenant_id, "account_ids": list(ACCOUNTS)},
            )
    return database
