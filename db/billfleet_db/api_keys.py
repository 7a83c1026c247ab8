"""API keys: who may call the front door, for which tenant, and to do what.

Commands create, rotate and revoke them; the front door looks one up by its id before it knows
whose it is. Only hashes of secrets are kept. It knows no scope's meaning and makes no secret.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is recorded."""

    key_id: str
    tenant_id: str
    name: str
    secret_hash: bytes
    scopes: Sequence[str]
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_valid(self, now: datetime) -> bool:
        """Whether it opens the door at this moment."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


_COLUMNS = "key_id, tenant_id, name, secret_hash, scopes, expires_at, revoked_at"
_FIND = text(f"SELECT {_COLUMNS} FROM fleet.find_api_key(:key_id)")
_OF_TENANT = text(f"""
    SELECT {_COLUMNS} FROM fleet.api_keys WHERE tenant_id = :tenant_id
    ORDER BY name, created_at, key_id
""")
_ADD = text("""
    INSERT INTO fleet.api_keys
      (key_id, tenant_id, name, secret_hash, scopes, created_at, expires_at)
    VALUES (:key_id, :tenant_id, :name, :secret_hash, :scopes, :now, :expires_at)
""")
_LOCK_NAME = text("""
    SELECT pg_advisory_xact_lock(hashtextextended('api key ' || :tenant_id || ' ' || :name, 0))
""")
_EXPIRE = text("""
    UPDATE fleet.api_keys SET expires_at = least(coalesce(expires_at, :at), :at)
    WHERE tenant_id = :tenant_id AND name = :name AND key_id = :key_id AND revoked_at IS NULL
""")
_REVOKE = text("""
    UPDATE fleet.api_keys SET revoked_at = :now
    WHERE tenant_id = :tenant_id AND (key_id = :given OR name = :given) AND revoked_at IS NULL
    RETURNING key_id
""")


async def find(connection: AsyncConnection, key_id: str) -> ApiKey | None:
    """Look one key up, whosever it is."""
    row = (await connection.execute(_FIND, {"key_id": key_id})).mappings().one_or_none()
    return None if row is None else ApiKey(**row)


async def of_tenant(connection: AsyncConnection, tenant_id: str) -> list[ApiKey]:
    """Every key of the tenant, by name and age."""
    found = await connection.execute(_OF_TENANT, {"tenant_id": tenant_id})
    return [ApiKey(**row) for row in found.mappings()]


async def add(connection: AsyncConnection, key: ApiKey, *, now: datetime) -> None:
    """Record a new key; its name may be that of an older one."""
    values = {
        "key_id": key.key_id,
        "tenant_id": key.tenant_id,
        "name": key.name,
        "secret_hash": key.secret_hash,
        "scopes": list(key.scopes),
        "expires_at": key.expires_at,
        "now": now,
    }
    await connection.execute(_ADD, values)


async def lock_name(connection: AsyncConnection, tenant_id: str, name: str) -> None:
    """Let one transaction at a time change the keys of a name."""
    await connection.execute(_LOCK_NAME, {"tenant_id": tenant_id, "name": name})


async def expire(connection: AsyncConnection, key: ApiKey, *, at: datetime) -> None:
    """Let a key end at the given moment, unless it ends sooner."""
    values = {"tenant_id": key.tenant_id, "name": key.name, "key_id": key.key_id, "at": at}
    await connection.execute(_EXPIRE, values)


async def revoke(
    connection: AsyncConnection, tenant_id: str, given: str, *, now: datetime
) -> list[str]:
    """End the key of this id, or all keys of this name, at once; returns the ids that ended."""
    values = {"tenant_id": tenant_id, "given": given, "now": now}
    return sorted((await connection.scalars(_REVOKE, values)).all())
