"""What customers have decided and what they prefer.

Called by the customers commands. Every decision stays written down; the latest one of a purpose
holds. It sends nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

Purpose = Literal["marketing", "expiry_warnings", "insights"]
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


@dataclass(frozen=True, slots=True)
class Decision:
    """A customer's word on one purpose."""

    customer_id: str
    purpose: Purpose
    is_given: bool
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class Preference:
    """What a customer chose, such as the store that is theirs."""

    customer_id: str
    name: str
    value: str


# A decision that says what holds already is not written again.
_DECIDE = text("""
    INSERT INTO customer.consents (tenant_id, customer_id, purpose, is_given, decided_at)
    SELECT :tenant_id, n.* FROM unnest(
      CAST(:customer_ids AS text[]), CAST(:purposes AS text[]), CAST(:given AS boolean[]),
      CAST(:decided_ats AS timestamptz[])) AS n(customer_id, purpose, is_given, decided_at)
    WHERE n.is_given IS DISTINCT FROM (
      SELECT c.is_given FROM customer.consents c
      WHERE c.tenant_id = :tenant_id AND c.customer_id = n.customer_id AND c.purpose = n.purpose
      ORDER BY c.decided_at DESC LIMIT 1)
    ON CONFLICT DO NOTHING
""")
_PREFER = text("""
    INSERT INTO customer.preferences (tenant_id, customer_id, name, value)
    SELECT :tenant_id, n.* FROM unnest(
      CAST(:customer_ids AS text[]), CAST(:names AS text[]), CAST(:values AS text[])) AS n
    ON CONFLICT (tenant_id, customer_id, name) DO UPDATE SET value = excluded.value
""")
_DECISIONS = text("""
    SELECT customer_id, purpose, is_given, decided_at FROM customer.consents
    WHERE tenant_id = :tenant_id AND customer_id = :customer_id ORDER BY decided_at, purpose
""")
_PREFERENCES = text("""
    SELECT customer_id, name, value FROM customer.preferences
    WHERE tenant_id = :tenant_id AND customer_id = :customer_id ORDER BY name
""")


async def decide(connection: AsyncConnection, tenant_id: str, decisions: Iterable[Decision]) -> int:
    """Write decisions down; returns how many were news."""
    listed = list(decisions)
    values = {
        "tenant_id": tenant_id,
        "customer_ids": [one.customer_id for one in listed],
        "purposes": [one.purpose for one in listed],
        "given": [one.is_given for one in listed],
        "decided_ats": [one.decided_at for one in listed],
    }
    return (await connection.execute(_DECIDE, values)).rowcount


async def prefer(
    connection: AsyncConnection, tenant_id: str, preferences: Sequence[Preference]
) -> None:
    """Set preferences; each of a customer's has one value."""
    values = {
        "tenant_id": tenant_id,
        "customer_ids": [one.customer_id for one in preferences],
        "names": [one.name for one in preferences],
        "values": [one.value for one in preferences],
    }
    await connection.execute(_PREFER, values)


async def decisions_of(
    connection: AsyncConnection, tenant_id: str, customer_id: str
) -> list[Decision]:
    """All that the customer ever decided, oldest first."""
    values = {"tenant_id": tenant_id, "customer_id": customer_id}
    return [Decision(*row) for row in await connection.execute(_DECISIONS, values)]


async def preferences_of(
    connection: AsyncConnection, tenant_id: str, customer_id: str
) -> list[Preference]:
    """What the customer prefers, by name."""
    values = {"tenant_id": tenant_id, "customer_id": customer_id}
    return [Preference(*row) for row in await connection.execute(_PREFERENCES, values)]
