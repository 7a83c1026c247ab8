"""Webhook endpoints: where a tenant wants to be told, of what, and with which secrets.

Commands add and change them; the webhooks worker reads them and notes whether they answer. It
knows no signature and sends nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A row of fleet.webhook_endpoints. No event types: everything of the tenant."""

    tenant_id: str
    endpoint_id: str
    url: str
    description: str
    event_types: Sequence[str]
    created_at: datetime
    failing_since: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: str | None = None

    def wants(self, event_type: str) -> bool:
        """Whether it is to be told of events of this type: by full type or by family."""
        if not self.event_types:
            return True
        family = f"{event_type.rsplit('.', 2)[0]}.*"
        return event_type in self.event_types or family in self.event_types


_COLUMNS = """tenant_id, endpoint_id, url, description, event_types, created_at, failing_since,
    disabled_at, disabled_reason"""
_ADD = text("""
    INSERT INTO fleet.webhook_endpoints
      (tenant_id, endpoint_id, url, description, event_types, created_at)
    VALUES (:tenant_id, :endpoint_id, :url, :description, CAST(:event_types AS text[]), :now)
""")
_OF_TENANT = text(f"""
    SELECT {_COLUMNS} FROM fleet.webhook_endpoints
    WHERE tenant_id = :tenant_id ORDER BY created_at, endpoint_id
""")
_OPEN = text(f"""
    SELECT {_COLUMNS} FROM fleet.webhook_endpoints
    WHERE tenant_id = ANY(CAST(:tenant_ids AS text[])) AND disabled_at IS NULL
    ORDER BY tenant_id, created_at, endpoint_id
""")
_GET = text(f"""
    SELECT {_COLUMNS} FROM fleet.webhook_endpoints
    WHERE tenant_id = :tenant_id AND endpoint_id = :endpoint_id
""")
_ADD_SECRET = text("""
    INSERT INTO fleet.webhook_secrets (tenant_id, endpoint_id, secret, created_at)
    VALUES (:tenant_id, :endpoint_id, :secret, :now)
""")
_EXPIRE_SECRETS = text("""
    UPDATE fleet.webhook_secrets SET expires_at = least(coalesce(expires_at, :at), :at)
    WHERE tenant_id = :tenant_id AND endpoint_id = :endpoint_id
""")
_SECRETS = text("""
    SELECT secret FROM fleet.webhook_secrets
    WHERE tenant_id = :tenant_id AND endpoint_id = :endpoint_id
      AND (expires_at IS NULL OR expires_at > :now)
    ORDER BY secret_id DESC LIMIT 3
""")
_NOTE_FAILING = text("""
    UPDATE fleet.webhook_endpoints SET failing_since = coalesce(failing_since, :now)
    WHERE tenant_id = :tenant_id AND endpoint_id = :endpoint_id
    RETURNING failing_since
""")
_NOTE_WELL = text("""
    UPDATE fleet.webhook_endpoints SET failing_since = NULL
    WHERE tenant_id = :tenant_id AND endpoint_id = :endpoint_id AND failing_since IS NOT NULL
""")
_DISABLE = text("""
    UPDATE fleet.webhook_endpoints SET disabled_at = :now, disabled_reason = :reason
    WHERE tenant_id = :tenant_id AND endpoint_id = :endpoint_id AND disabled_at IS NULL
""")
_ENABLE = text("""
    UPDATE fleet.webhook_endpoints
    SET disabled_at = NULL, disabled_reason = NULL, failing_since = NULL
    WHERE tenant_id = :tenant_id AND endpoint_id = :endpoint_id AND disabled_at IS NOT NULL
""")


async def add(connection: AsyncConnection, endpoint: Endpoint, *, secret: str) -> None:
    """Record an endpoint with its first secret."""
    values = _key(endpoint.tenant_id, endpoint.endpoint_id) | {
        "url": endpoint.url,
        "description": endpoint.description,
        "event_types": list(endpoint.event_types),
        "now": endpoint.created_at,
    }
    await connection.execute(_ADD, values)
    await _add_secret(connection, endpoint, secret, endpoint.created_at)


async def of_tenant(connection: AsyncConnection, tenant_id: str) -> list[Endpoint]:
    """The tenant's endpoints, oldest first, those that are switched off too."""
    found = await connection.execute(_OF_TENANT, {"tenant_id": tenant_id})
    return [Endpoint(**row) for row in found.mappings()]


async def open_endpoints(connection: AsyncConnection, tenant_ids: Sequence[str]) -> list[Endpoint]:
    """Every endpoint of these tenants that is not switched off."""
    found = await connection.execute(_OPEN, {"tenant_ids": sorted(set(tenant_ids))})
    return [Endpoint(**row) for row in found.mappings()]


async def get(connection: AsyncConnection, tenant_id: str, endpoint_id: str) -> Endpoint | None:
    """One endpoint, or None."""
    found = await connection.execute(_GET, _key(tenant_id, endpoint_id))
    row = found.mappings().one_or_none()
    return None if row is None else Endpoint(**row)


async def rotate_secret(
    connection: AsyncConnection,
    endpoint: Endpoint,
    secret: str,
    *,
    now: datetime,
    old_until: datetime,
) -> None:
    """Add a secret; the ones before go on signing beside it until the given moment."""
    key = _key(endpoint.tenant_id, endpoint.endpoint_id)
    await connection.execute(_EXPIRE_SECRETS, key | {"at": old_until})
    await _add_secret(connection, endpoint, secret, now)


async def secrets_of(
    connection: AsyncConnection, endpoint: Endpoint, *, now: datetime
) -> Sequence[str]:
    """The secrets that sign at this moment, the newest first; three at most."""
    key = _key(endpoint.tenant_id, endpoint.endpoint_id)
    return (await connection.scalars(_SECRETS, key | {"now": now})).all()


async def note_failing(
    connection: AsyncConnection, endpoint: Endpoint, *, now: datetime
) -> datetime:
    """Note that it failed; returns since when it has."""
    values = _key(endpoint.tenant_id, endpoint.endpoint_id) | {"now": now}
    since: datetime = (await connection.execute(_NOTE_FAILING, values)).scalar_one()
    return since


async def note_well(connection: AsyncConnection, endpoint: Endpoint) -> None:
    """Note that it answered well."""
    await connection.execute(_NOTE_WELL, _key(endpoint.tenant_id, endpoint.endpoint_id))


async def disable(
    connection: AsyncConnection, tenant_id: str, endpoint_id: str, reason: str, *, now: datetime
) -> bool:
    """Switch it off; False where it is off, or not there."""
    values = _key(tenant_id, endpoint_id) | {"reason": reason, "now": now}
    return (await connection.execute(_DISABLE, values)).rowcount == 1


async def enable(connection: AsyncConnection, tenant_id: str, endpoint_id: str) -> bool:
    """Switch it on again; False where it is on, or not there."""
    return (await connection.execute(_ENABLE, _key(tenant_id, endpoint_id))).rowcount == 1


async def _add_secret(
    connection: AsyncConnection, endpoint: Endpoint, secret: str, now: datetime
) -> None:
    values = _key(endpoint.tenant_id, endpoint.endpoint_id) | {"secret": secret, "now": now}
    await connection.execute(_ADD_SECRET, values)


def _key(tenant_id: str, endpoint_id: str) -> dict[str, object]:
    return {"tenant_id": tenant_id, "endpoint_id": endpoint_id}
