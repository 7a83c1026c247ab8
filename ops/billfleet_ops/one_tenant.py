"""A transaction of a command that is about one tenant, which must exist, or about all.

The loyalty, business and customers commands open theirs here. It knows no command.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db import Database, loyalty, tenants
from billfleet_db.engine import Isolation
from billfleet_ops.account_lookup import unknown_tenant
from billfleet_ops.configuration import load_settings


@asynccontextmanager
async def tenant_connection(
    tenant: str | None = None,
    isolation: Isolation | None = None,
    statement_timeout_s: float = 30.0,
) -> AsyncIterator[AsyncConnection]:
    """A transaction that sees one tenant, or all.

    Raises:
        UsageWrong: there is no such tenant.
    """
    url = load_settings().database_url.get_secret_value()
    database = Database.connect(url, pool_size=1, statement_timeout_s=statement_timeout_s)
    try:
        async with database.transaction(isolation) as connection:
            known = [each.tenant_id for each in await tenants.all_tenants(connection)]
            if tenant is not None and tenant not in known:
                raise unknown_tenant(tenant, known)
            await loyalty.see_tenant(connection, tenant or loyalty.ALL_TENANTS)
            yield connection
    finally:
        await database.close()
