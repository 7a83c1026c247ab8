"""Which facts a tenant has its customers mailed about.

The mail worker reads it, `billfleet mail policy` sets it. What the names mean and what holds
where nothing is set is the worker's business: here it is a JSON object of booleans.
"""

import json
from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_GET = text("""
    SELECT CAST(mail AS text) AS mail FROM business.tenants WHERE tenant_id = :tenant_id
""")
_SET = text("""
    UPDATE business.tenants SET mail = mail || CAST(:mail AS jsonb) WHERE tenant_id = :tenant_id
""")


async def get(connection: AsyncConnection, tenant_id: str) -> Mapping[str, bool]:
    """What the tenant has chosen; nothing when there is no such tenant."""
    found = (await connection.execute(_GET, {"tenant_id": tenant_id})).scalar()
    chosen = json.loads(found) if found else {}
    return {name: bool(value) for name, value in chosen.items()}


async def choose(connection: AsyncConnection, tenant_id: str, choices: Mapping[str, bool]) -> bool:
    """Set these and leave the others; returns whether the tenant exists."""
    values = {"tenant_id": tenant_id, "mail": json.dumps(dict(choices))}
    return (await connection.execute(_SET, values)).rowcount == 1
