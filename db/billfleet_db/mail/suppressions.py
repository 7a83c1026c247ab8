"""Addresses that a tenant does not write to any more, and why.

The mail worker asks before each sending, the feedback worker and operators add. An address is
compared in lower case. It must not know what a bounce looks like.
"""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

SuppressionReason = Literal["bounce", "complaint", "transient_bounces", "unsubscribe", "operator"]
Scope = Literal["all", "marketing"]


@dataclass(frozen=True, slots=True)
class Suppression:
    """One address of one tenant."""

    tenant_id: str
    address: str
    scope: Scope
    reason: SuppressionReason
    suppressed_at: datetime
    detail: str | None = None
    mail_id: UUID | None = None


_COLUMNS = ", ".join(column.name for column in fields(Suppression))
_ADD = text(f"""
    INSERT INTO mail.suppressions ({_COLUMNS})
    VALUES (:tenant_id, lower(:address), :scope, :reason, :suppressed_at, :detail, :mail_id)
    ON CONFLICT (tenant_id, address, scope) DO NOTHING
""")
_FIND = text(f"""
    SELECT {_COLUMNS} FROM mail.suppressions
    WHERE tenant_id = :tenant_id AND address = lower(:address)
      AND (scope = 'all' OR scope = :scope)
    ORDER BY scope LIMIT 1
""")
_LIFT = text("""
    DELETE FROM mail.suppressions
    WHERE tenant_id = :tenant_id AND address = lower(:address)
      AND (CAST(:scope AS text) IS NULL OR scope = :scope)
""")
_LIST = text(f"""
    SELECT {_COLUMNS} FROM mail.suppressions
    WHERE (CAST(:tenant_id AS text) IS NULL OR tenant_id = :tenant_id)
    ORDER BY suppressed_at DESC, address LIMIT :limit
""")


async def add(connection: AsyncConnection, suppression: Suppression) -> bool:
    """Suppress the address; False when it was already, and the first reason stays."""
    values = {column.name: getattr(suppression, column.name) for column in fields(suppression)}
    return (await connection.execute(_ADD, values)).rowcount == 1


async def find(
    connection: AsyncConnection, tenant_id: str, address: str, *, scope: Scope
) -> Suppression | None:
    """What stands against writing to the address: for all mail, or for this scope."""
    values = {"tenant_id": tenant_id, "address": address, "scope": scope}
    row = (await connection.execute(_FIND, values)).mappings().first()
    return Suppression(**row) if row else None


async def lift(
    connection: AsyncConnection, tenant_id: str, address: str, *, scope: Scope | None = None
) -> int:
    """Write to the address again; returns how many suppressions went."""
    values = {"tenant_id": tenant_id, "address": address, "scope": scope}
    return (await connection.execute(_LIFT, values)).rowcount


async def newest(
    connection: AsyncConnection, *, tenant_id: str | None = None, limit: int = 100
) -> list[Suppression]:
    """The latest suppressions first."""
    found = await connection.execute(_LIST, {"tenant_id": tenant_id, "limit": limit})
    return [Suppression(**row) for row in found.mappings()]
