"""A tenant's brands, stores and staff.

Called by the command that sets a business up and by whoever shows it. What is named again gets its
new name; nothing is deleted, because transactions point at it. It knows no rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

Role = Literal["owner", "manager", "clerk"]


@dataclass(frozen=True, slots=True)
class Brand:
    """A name under which a tenant sells."""

    brand_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Store:
    """Where purchases are made."""

    store_id: str
    brand_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who works for a tenant; without a store, for all of them."""

    staff_id: str
    name: str
    role: Role
    store_id: str | None


@dataclass(frozen=True, slots=True)
class Business:
    """All of it, each in the order of its ids."""

    brands: Sequence[Brand]
    stores: Sequence[Store]
    staff: Sequence[Member]


_SET_BRANDS = text("""
    INSERT INTO business.brands (tenant_id, brand_id, name)
    SELECT :tenant_id, n.* FROM unnest(CAST(:ids AS text[]), CAST(:names AS text[])) AS n
    ON CONFLICT (tenant_id, brand_id) DO UPDATE SET name = excluded.name
""")
# A store stays with its brand: cards of the brand have transactions there.
_SET_STORES = text("""
    INSERT INTO business.stores (tenant_id, store_id, brand_id, name)
    SELECT :tenant_id, n.* FROM unnest(
      CAST(:ids AS text[]), CAST(:brand_ids AS text[]), CAST(:names AS text[])) AS n
    ON CONFLICT (tenant_id, store_id) DO UPDATE SET name = excluded.name
      WHERE stores.brand_id = excluded.brand_id
    RETURNING store_id
""")
_SET_STAFF = text("""
    INSERT INTO business.staff (tenant_id, staff_id, name, role, store_id)
    SELECT :tenant_id, n.* FROM unnest(
      CAST(:ids AS text[]), CAST(:names AS text[]), CAST(:roles AS text[]),
      CAST(:store_ids AS text[])) AS n
    ON CONFLICT (tenant_id, staff_id) DO UPDATE
    SET name = excluded.name, role = excluded.role, store_id = excluded.store_id
""")
_BRANDS = text("""
    SELECT brand_id, name FROM business.brands WHERE tenant_id = :tenant_id ORDER BY brand_id
""")
_STORES = text("""
    SELECT store_id, brand_id, name FROM business.stores
    WHERE tenant_id = :tenant_id ORDER BY store_id
""")
_STAFF = text("""
    SELECT staff_id, name, role, store_id FROM business.staff
    WHERE tenant_id = :tenant_id ORDER BY staff_id
""")


async def set_business(
    connection: AsyncConnection, tenant_id: str, business: Business
) -> list[str]:
    """Create or rename brands, stores and staff.

    Returns the stores that belong to another brand already; those are left as they are.
    """
    brands, stores, staff = business.brands, business.stores, business.staff
    await connection.execute(
        _SET_BRANDS,
        {
            "tenant_id": tenant_id,
            "ids": [one.brand_id for one in brands],
            "names": [one.name for one in brands],
        },
    )
    kept = await connection.scalars(
        _SET_STORES,
        {
            "tenant_id": tenant_id,
            "ids": [one.store_id for one in stores],
            "brand_ids": [one.brand_id for one in stores],
            "names": [one.name for one in stores],
        },
    )
    elsewhere = {one.store_id for one in stores} - set(kept)
    await connection.execute(
        _SET_STAFF,
        {
            "tenant_id": tenant_id,
            "ids": [one.staff_id for one in staff],
            "names": [one.name for one in staff],
            "roles": [one.role for one in staff],
            "store_ids": [one.store_id for one in staff],
        },
    )
    return sorted(elsewhere)


async def get_business(connection: AsyncConnection, tenant_id: str) -> Business:
    """Everything that the tenant has."""
    values = {"tenant_id": tenant_id}
    return Business(
        [Brand(*row) for row in await connection.execute(_BRANDS, values)],
        [Store(*row) for row in await connection.execute(_STORES, values)],
        [Member(*row) for row in await connection.execute(_STAFF, values)],
    )
