"""The log of webhook deliveries: what each endpoint was told, each try, and how it ended.

The webhooks worker writes it, the console and `billfleet webhooks deliveries` show it. A delivery
is one event for one endpoint; that pair is unique, so that a fact which is announced again is not
told again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

DeliveryState = Literal["pending", "delivered", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """An event that an endpoint is to be told of."""

    tenant_id: str
    delivery_id: str
    endpoint_id: str
    event_id: str
    event_type: str
    body: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as it stands."""

    tenant_id: str
    delivery_id: str
    endpoint_id: str
    event_id: str
    event_type: str
    body: str
    state: DeliveryState
    attempts_made: int
    last_status: int | None
    last_error: str | None
    next_attempt_at: datetime | None
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: what came back, or why nothing did."""

    attempt_no: int
    started_at: datetime
    duration_ms: int
    status: int | None
    error: str | None
    answer: str | None


_ADD = text("""
    INSERT INTO fleet.webhook_deliveries
      (tenant_id, delivery_id, endpoint_id, event_id, event_type, body, created_at)
    SELECT n.*, :now FROM unnest(
      CAST(:tenant_id AS text[]), CAST(:delivery_id AS text[]), CAST(:endpoint_id AS text[]),
      CAST(:event_id AS text[]), CAST(:event_type AS text[]), CAST(:body AS text[])) AS n
    ON CONFLICT DO NOTHING
    RETURNING delivery_id
""")
_COLUMNS = """tenant_id, delivery_id, endpoint_id, event_id, event_type, body, state,
    attempts_made, last_status, last_error, next_attempt_at, created_at, ended_at"""
_GET = text(f"""
    SELECT {_COLUMNS} FROM fleet.webhook_deliveries
    WHERE tenant_id = :tenant_id AND delivery_id = :delivery_id
""")
_LATEST = text(f"""
    SELECT {_COLUMNS} FROM fleet.webhook_deliveries
    WHERE tenant_id = :tenant_id
      AND (CAST(:endpoint_id AS text) IS NULL OR endpoint_id = :endpoint_id)
    ORDER BY created_at DESC, delivery_id LIMIT :limit
""")
_TRY = text("""
    INSERT INTO fleet.webhook_attempts
      (tenant_id, delivery_id, attempt_no, started_at, duration_ms, status, error, answer)
    VALUES (:tenant_id, :delivery_id, :attempt_no, :started_at, :duration_ms, :status, :error,
            :answer)
    ON CONFLICT DO NOTHING
""")
_STAND = text("""
    UPDATE fleet.webhook_deliveries
    SET state = :state, attempts_made = greatest(attempts_made, :attempts_made),
        last_status = :status, last_error = :error, next_attempt_at = :next_attempt_at,
        ended_at = :ended_at
    WHERE tenant_id = :tenant_id AND delivery_id = :delivery_id AND state <> 'delivered'
""")
_ATTEMPTS = text("""
    SELECT attempt_no, started_at, duration_ms, status, error, answer FROM fleet.webhook_attempts
    WHERE tenant_id = :tenant_id AND delivery_id = :delivery_id ORDER BY attempt_no
""")
_PRUNE = text("""
    DELETE FROM fleet.webhook_deliveries WHERE (tenant_id, delivery_id) IN (
      SELECT tenant_id, delivery_id FROM fleet.webhook_deliveries WHERE ended_at < :before
      ORDER BY ended_at LIMIT :limit FOR UPDATE SKIP LOCKED)
""")


async def add(
    connection: AsyncConnection, deliveries: Sequence[NewDelivery], *, now: datetime
) -> frozenset[str]:
    """Record deliveries; returns the ids of those that were not there."""
    if not deliveries:
        return frozenset()
    columns = {
        name: [getattr(delivery, name) for delivery in deliveries] for name in NewDelivery.__slots__
    }
    return frozenset((await connection.scalars(_ADD, columns | {"now": now})).all())


async def get(connection: AsyncConnection, tenant_id: str, delivery_id: str) -> Delivery | None:
    """One delivery, or None."""
    values = {"tenant_id": tenant_id, "delivery_id": delivery_id}
    row = (await connection.execute(_GET, values)).mappings().one_or_none()
    return None if row is None else Delivery(**row)


async def latest(
    connection: AsyncConnection, tenant_id: str, *, endpoint_id: str | None = None, limit: int = 50
) -> list[Delivery]:
    """The tenant's newest deliveries, of one endpoint or of all."""
    values = {"tenant_id": tenant_id, "endpoint_id": endpoint_id, "limit": limit}
    return [Delivery(**row) for row in (await connection.execute(_LATEST, values)).mappings()]


async def attempts_of(
    connection: AsyncConnection, tenant_id: str, delivery_id: str
) -> list[Attempt]:
    """Every try of a delivery, in order."""
    values = {"tenant_id": tenant_id, "delivery_id": delivery_id}
    return [Attempt(**row) for row in (await connection.execute(_ATTEMPTS, values)).mappings()]


async def record(
    connection: AsyncConnection,
    delivery: Delivery,
    attempt: Attempt,
    *,
    state: DeliveryState,
    next_attempt_at: datetime | None,
    now: datetime,
) -> None:
    """Write a try down, and how the delivery stands after it."""
    key = {"tenant_id": delivery.tenant_id, "delivery_id": delivery.delivery_id}
    tried = {name: getattr(attempt, name) for name in Attempt.__slots__}
    await connection.execute(_TRY, key | tried)
    standing = {
        "state": state,
        "attempts_made": attempt.attempt_no,
        "status": attempt.status,
        "error": attempt.error,
        "next_attempt_at": next_attempt_at,
        "ended_at": None if state == "pending" else now,
    }
    await connection.execute(_STAND, key | standing)


async def cancel(connection: AsyncConnection, delivery: Delivery, *, now: datetime) -> None:
    """Write down that nobody is there to be told."""
    values = {
        "tenant_id": delivery.tenant_id,
        "delivery_id": delivery.delivery_id,
        "state": "cancelled",
        "attempts_made": delivery.attempts_made,
        "status": delivery.last_status,
        "error": "the endpoint is switched off",
        "next_attempt_at": None,
        "ended_at": now,
    }
    await connection.execute(_STAND, values)


async def prune(connection: AsyncConnection, *, before: datetime, limit: int) -> int:
    """Forget deliveries that ended long ago; returns how many."""
    return (await connection.execute(_PRUNE, {"before": before, "limit": limit})).rowcount
