"""What `billfleet analytics` asks the database itself: tenants, readers of reports, quarantine.

The command calls it. Everything is read as the application role, one tenant at a time where one is
named. It prints nothing.
"""

import asyncio
import json
from datetime import date, datetime
from typing import Any

from billfleet_db import Database, analytics, tenants
from billfleet_db.tenants import Tenant
from billfleet_ops.account_lookup import unknown_tenant
from billfleet_workers.settings import Settings

QUARANTINE_MAX = 100


async def readers(
    settings: Settings, tenant: str, period: str, add: str | None, remove: str | None
) -> list[str]:
    """The contacts that are told of such reports, after these were added and removed."""
    database = _open(settings)
    try:
        async with database.transaction() as connection:
            await analytics.see_tenant(connection, tenant)
            if add is not None:
                await analytics.reports.add_reader(connection, tenant, add, period)
            if remove is not None:
                await analytics.reports.remove_reader(connection, tenant, remove, period)
            return await analytics.reports.readers(connection, tenant, period)
    finally:
        await database.close()


async def counting(
    settings: Settings, tenant: str, at: datetime | None = None
) -> analytics.Counting:
    """How the tenant's events are counted: its policy, and the zone that held then."""
    database = _open(settings)
    try:
        async with database.transaction() as connection:
            await analytics.see_tenant(connection, tenant)
            found = await analytics.books.counting_of(connection, [tenant], at=at)
    finally:
        await database.close()
    return found[tenant]


async def set_policy(settings: Settings, tenant: str, said: dict[str, object]) -> None:
    """From now on the tenant says this."""
    database = _open(settings)
    try:
        async with database.transaction() as connection:
            await analytics.see_tenant(connection, tenant)
            await analytics.books.set_policy(connection, tenant, said)
    finally:
        await database.close()


async def quarantined(settings: Settings, tenant: str | None) -> list[dict[str, Any]]:
    """What was kept aside, newest first, for a program."""
    database = _open(settings)
    try:
        async with database.transaction() as connection:
            await analytics.see_tenant(connection, tenant or analytics.ALL_TENANTS)
            rows = await analytics.events.quarantined(connection, tenant, QUARANTINE_MAX)
    finally:
        await database.close()
    return [
        {
            "tenant_id": one.tenant_id,
            "source": one.source,
            "event_id": one.event_id,
            "reason": one.reason,
            "refused_at": one.refused_at,
            "refused": json.loads(one.refused),
            "kept": json.loads(one.kept) if one.kept else None,
        }
        for one in rows
    ]


async def raw_files(
    settings: Settings, tenant: str | None, day: date | None
) -> list[analytics.RawFile]:
    """The files that hold every exported event once: the tenant's or all, of a UTC day or all."""
    database = _open(settings)
    try:
        async with database.transaction() as connection:
            await analytics.see_tenant(connection, tenant or analytics.ALL_TENANTS)
            return await analytics.raw_files.live(connection, tenant_id=tenant, day=day)
    finally:
        await database.close()


def one_tenant(settings: Settings, tenant: str) -> Tenant:
    """The tenant; raises UsageWrong where there is none of that name."""
    (found,) = some_tenants(settings, tenant)
    return found


def some_tenants(settings: Settings, tenant: str | None) -> list[Tenant]:
    """The tenant, or all; raises UsageWrong where there is none of that name."""

    async def ask() -> list[Tenant]:
        database = _open(settings)
        try:
            async with database.transaction() as connection:
                return await tenants.all_tenants(connection)
        finally:
            await database.close()

    known = asyncio.run(ask())
    found = [one for one in known if tenant in (None, one.tenant_id)]
    if tenant is not None and not found:
        raise unknown_tenant(tenant, [one.tenant_id for one in known])
    return found


def _open(settings: Settings) -> Database:
    return Database.connect(settings.database_url.get_secret_value(), pool_size=1)
