"""What the front door asks the database on its own behalf: one tenant's view, and first answers.

Called by the gateway, which logs in as `billfleet_gateway`. Row security shows that role one
tenant a transaction, so `see_tenant` comes first. It knows no route and no status's meaning.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

ROLE = "billfleet_gateway"


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """What the first request with an idempotency key was told."""

    request_hash: bytes
    status: int
    answer: str
    location: str | None


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are to PostgreSQL, and whether row security holds for us."""

    role: str
    is_bound: bool


_SEE = text("SELECT set_config('billfleet.tenant', :tenant_id, true)")
_WHO = text("""
    SELECT CAST(current_user AS text) AS role,
           NOT (r.rolsuper OR r.rolbypassrls)
           AND NOT EXISTS (
             SELECT FROM pg_class c WHERE c.oid = to_regclass('billing.accounts')
               AND (NOT c.relrowsecurity OR pg_has_role(current_user, c.relowner, 'USAGE')))
           AND NOT pg_has_role(current_user, 'billfleet_app', 'USAGE') AS is_bound
    FROM pg_roles r WHERE r.rolname = current_user
""")
# A request with the same key that is under way holds this one here until it has committed or not.
_BEGIN = text("""
    INSERT INTO fleet.idempotency (tenant_id, idempotency_key, request_hash, created_at)
    VALUES (:tenant_id, :key, :request_hash, :now)
    ON CONFLICT DO NOTHING
    RETURNING 1
""")
_FIRST = text("""
    SELECT request_hash, status, answer, location FROM fleet.idempotency
    WHERE tenant_id = :tenant_id AND idempotency_key = :key AND status IS NOT NULL
""")
_KEEP = text("""
    UPDATE fleet.idempotency SET status = :status, answer = :answer, location = :location
    WHERE tenant_id = :tenant_id AND idempotency_key = :key
""")
_PRUNE = text("SELECT fleet.prune_idempotency(:before, :at_most)")


async def see_tenant(connection: AsyncConnection, tenant_id: str) -> None:
    """Let this transaction see one tenant's rows and nobody else's."""
    await connection.execute(_SEE, {"tenant_id": tenant_id})


async def who_are_we(connection: AsyncConnection) -> Login:
    """The role of this login; `is_bound` is False where it would see every tenant's rows."""
    row = (await connection.execute(_WHO)).mappings().one()
    return Login(row["role"], row["is_bound"])


async def begin_once(
    connection: AsyncConnection, tenant_id: str, key: str, request_hash: bytes, *, now: datetime
) -> FirstAnswer | None:
    """Take the key for this transaction: None. Where it was used before: what was answered then.

    Raises SerializationConflict where the request that holds it takes longer than a lock wait.
    """
    values = {"tenant_id": tenant_id, "key": key, "request_hash": request_hash, "now": now}
    if (await connection.execute(_BEGIN, values)).one_or_none() is not None:
        return None
    found = await connection.execute(_FIRST, {"tenant_id": tenant_id, "key": key})
    return FirstAnswer(**found.mappings().one())


async def keep_answer(
    connection: AsyncConnection,
    tenant_id: str,
    key: str,
    *,
    status: int,
    answer: str,
    location: str | None,
) -> None:
    """Write the answer beside the key that this transaction took."""
    values = {"tenant_id": tenant_id, "key": key, "status": status, "answer": answer}
    await connection.execute(_KEEP, values | {"location": location})


async def prune_answers(connection: AsyncConnection, before: datetime, at_most: int) -> int:
    """Forget first answers of long ago, of every tenant; returns how many."""
    values = {"before": before, "at_most": at_most}
    return int((await connection.execute(_PRUNE, values)).scalar_one())
