import pytest
from sqlalchemy import text

from billfleet_db import Database
from billfleet_db.customers import Customer, get_customers, upsert_customers
from billfleet_db.errors import IntegrityRefused
from billfleet_db.tenants import (
    Plan,
    Tenant,
    all_tenants,
    ensure_tenant,
    get_tenant,
    set_dunning,
    upsert_plans,
)

ACME = Tenant("acme", "Acme", "USD", "Europe/Berlin", {"offsets_days": [1, 3, 7]})


async def test_a_tenant_is_created_once_and_read_back_with_its_policy(database: Database) -> None:
    async with database.transaction() as connection:
        assert await ensure_tenant(connection, ACME) == ACME
        assert await ensure_tenant(connection, Tenant("acme", "Other", "EUR")) == ACME
        assert await get_tenant(connection, "acme") == ACME
        assert await get_tenant(connection, "nobody") is None
        assert await all_tenants(connection) == [ACME]


async def test_a_dunning_policy_is_replaced(database: Database) -> None:
    async with database.transaction() as connection:
        await ensure_tenant(connection, ACME)
        assert await set_dunning(connection, "acme", {"offsets_days": []})
        assert not await set_dunning(connection, "nobody", {})
        found = await get_tenant(connection, "acme")
    assert found is not None
    assert found.dunning == {"offsets_days": []}


@pytest.mark.parametrize(
    ("tenant", "constraint"),
    [
        (Tenant("Acme!", "Acme", "USD"), "ck_tenants_tenant_id"),
        (Tenant("acme", "Acme", "usd"), "ck_tenants_currency"),
        (Tenant("acme", "Acme", "USD", "Nowhere"), "ck_tenants_time_zone"),
    ],
)
async def test_a_tenant_that_cannot_be_is_refused_by_name(
    database: Database, tenant: Tenant, constraint: str
) -> None:
    with pytest.raises(IntegrityRefused) as refused:
        async with database.transaction() as connection:
            await ensure_tenant(connection, tenant)
    assert refused.value.constraint == constraint


async def test_customers_are_created_and_replaced_in_sets(database: Database) -> None:
    ada = Customer("acme", "c-1", "Ada", "ada@example.com", "de-DE")
    bob = Customer("acme", "c-2", "Bob")
    async with database.transaction() as connection:
        await ensure_tenant(connection, ACME)
        await upsert_customers(connection, [])
        await upsert_customers(connection, [Customer("acme", "c-1", "A"), bob, ada])
        found = await get_customers(connection, "acme", ["c-1", "c-2", "c-3"])
    assert found == {"c-1": ada, "c-2": bob}


async def test_plans_are_created_and_replaced_in_sets(database: Database) -> None:
    async with database.transaction() as connection:
        await ensure_tenant(connection, ACME)
        await upsert_plans(connection, [])
        await upsert_plans(connection, [Plan("acme", "basic", "Basic", 100, "USD")])
        await upsert_plans(connection, [Plan("acme", "basic", "Basic", 200, "USD", 12)])
        plans = (await connection.execute(text("SELECT * FROM business.plans"))).one()
    assert (plans.amount_minor, plans.interval_months) == (200, 12)
