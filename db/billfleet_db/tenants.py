"""Tenants and the plans that they sell.

Called by the account import, by the demo and by collection, which reads the dunning policy. What a
policy means is the caller's business: here it is a JSON object.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Tenant:
    """A company that bills its customers; an empty `dunning` means the policy of the house."""

    tenant_id: str
    name: str
    currency: str
    time_zone: str = "UTC"
    dunning: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a tenant sells, at a price per so many months."""

    tenant_id: str
    plan_id: str
    name: str
    amount_minor: int
    currency: str
    interval_months: int = 1


_ENSURE = text("""
    INSERT INTO business.tenants (tenant_id, name, time_zone, currency, dunning)
    VALUES (:tenant_id, :name, :time_zone, :currency, CAST(:dunning AS jsonb))
    ON CONFLICT (tenant_id) DO NOTHING
""")
_GET = text("""
    SELECT tenant_id, name, currency, time_zone, CAST(dunning AS text) AS dunning
    FROM business.tenants WHERE tenant_id = ANY(CAST(:tenant_ids AS text[])) ORDER BY tenant_id
""")
_ALL = text("""
    SELECT tenant_id, name, currency, time_zone, CAST(dunning AS text) AS dunning
    FROM business.tenants ORDER BY tenant_id
""")
_SET_DUNNING = text("""
    UPDATE business.tenants SET dunning = CAST(:dunning AS jsonb) WHERE tenant_id = :tenant_id
""")
_UPSERT_PLANS = text("""
    INSERT INTO business.plans (tenant_id, plan_id, name, amount_minor, currency, interval_months)
    SELECT * FROM unnest(
      CAST(:tenant_ids AS text[]), CAST(:plan_ids AS text[]), CAST(:names AS text[]),
      CAST(:amounts_minor AS bigint[]), CAST(:currencies AS text[]),
      CAST(:intervals_months AS integer[]))
    ON CONFLICT (tenant_id, plan_id) DO UPDATE SET
      name = excluded.name, amount_minor = excluded.amount_minor, currency = excluded.currency,
      interval_months = excluded.interval_months
""")


async def ensure_tenant(connection: AsyncConnection, tenant: Tenant) -> Tenant:
    """Create the tenant unless it exists, and return it as it is recorded."""
    await connection.execute(
        _ENSURE,
        {
            "tenant_id": tenant.tenant_id,
            "name": tenant.name,
            "time_zone": tenant.time_zone,
            "currency": tenant.currency,
            "dunning": json.dumps(dict(tenant.dunning)),
        },
    )
    return (await get_tenants(connection, [tenant.tenant_id]))[tenant.tenant_id]


async def get_tenant(connection: AsyncConnection, tenant_id: str) -> Tenant | None:
    """Return the tenant, or None when there is none of that id."""
    return (await get_tenants(connection, [tenant_id])).get(tenant_id)


async def get_tenants(connection: AsyncConnection, tenant_ids: Sequence[str]) -> dict[str, Tenant]:
    """Return those of the tenants that exist, by id."""
    found = await connection.execute(_GET, {"tenant_ids": list(tenant_ids)})
    return {row.tenant_id: _tenant(row) for row in found}


async def all_tenants(connection: AsyncConnection) -> list[Tenant]:
    """Return every tenant, sorted by id."""
    return [_tenant(row) for row in await connection.execute(_ALL)]


async def set_dunning(
    connection: AsyncConnection, tenant_id: str, dunning: Mapping[str, object]
) -> bool:
    """Replace the tenant's dunning policy; returns whether the tenant exists."""
    done = await connection.execute(
        _SET_DUNNING, {"tenant_id": tenant_id, "dunning": json.dumps(dict(dunning))}
    )
    return done.rowcount == 1


async def upsert_plans(connection: AsyncConnection, plans: Sequence[Plan]) -> None:
    """Create or replace plans. The last of a batch wins where it names one twice."""
    latest = {(plan.tenant_id, plan.plan_id): plan for plan in plans}
    if not latest:
        return
    ordered = [latest[key] for key in sorted(latest)]
    await connection.execute(
        _UPSERT_PLANS,
        {
            "tenant_ids": [plan.tenant_id for plan in ordered],
            "plan_ids": [plan.plan_id for plan in ordered],
            "names": [plan.name for plan in ordered],
            "amounts_minor": [plan.amount_minor for plan in ordered],
            "currencies": [plan.currency for plan in ordered],
            "intervals_months": [plan.interval_months for plan in ordered],
        },
    )


def _tenant(row: Row[tuple[object, ...]]) -> Tenant:
    return Tenant(
        tenant_id=row.tenant_id,
        name=row.name,
        currency=row.currency,
        time_zone=row.time_zone,
        dunning=json.loads(row.dunning),
    )
