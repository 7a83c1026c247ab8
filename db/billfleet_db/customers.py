"""Customers: who is billed, and where mail reaches them.

Called by the account import and by whoever writes to a customer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Customer:
    """A person or company that a tenant bills."""

    tenant_id: str
    customer_id: str
    name: str
    email: str | None = None
    locale: str = "en-US"


_UPSERT = text("""
    INSERT INTO customer.customers (tenant_id, customer_id, name, email, locale)
    SELECT * FROM unnest(
      CAST(:tenant_ids AS text[]), CAST(:customer_ids AS text[]), CAST(:names AS text[]),
      CAST(:emails AS text[]), CAST(:locales AS text[]))
    ON CONFLICT (tenant_id, customer_id) DO UPDATE SET
      name = excluded.name, email = excluded.email, locale = excluded.locale
""")
_ADD = text(_UPSERT.text.partition("ON CONFLICT")[0] + "ON CONFLICT DO NOTHING")
_GET = text("""
    SELECT tenant_id, customer_id, name, email, locale FROM customer.customers
    WHERE tenant_id = :tenant_id AND customer_id = ANY(CAST(:customer_ids AS text[]))
""")


async def upsert_customers(connection: AsyncConnection, customers: Sequence[Customer]) -> None:
    """Create or replace customers. The last of a batch wins where it names one twice."""
    await _write(connection, _UPSERT, customers)


async def add_customers(connection: AsyncConnection, customers: Sequence[Customer]) -> None:
    """Create the customers that are not there yet; others stay as they are."""
    await _write(connection, _ADD, customers)


async def _write(
    connection: AsyncConnection, statement: TextClause, customers: Sequence[Customer]
) -> None:
    latest = {(customer.tenant_id, customer.customer_id): customer for customer in customers}
    if not latest:
        return
    # Sorted, so that two imports of the same customers wait and do not deadlock (R44).
    ordered = [latest[key] for key in sorted(latest)]
    await connection.execute(
        statement,
        {
            "tenant_ids": [customer.tenant_id for customer in ordered],
            "customer_ids": [customer.customer_id for customer in ordered],
            "names": [customer.name for customer in ordered],
            "emails": [customer.email for customer in ordered],
            "locales": [customer.locale for customer in ordered],
        },
    )


async def get_customers(
    connection: AsyncConnection, tenant_id: str, customer_ids: Sequence[str]
) -> dict[str, Customer]:
    """Return those of the tenant's customers that exist, by id."""
    found = await connection.execute(
        _GET, {"tenant_id": tenant_id, "customer_ids": list(customer_ids)}
    )
    return {row["customer_id"]: Customer(**row) for row in found.mappings()}
