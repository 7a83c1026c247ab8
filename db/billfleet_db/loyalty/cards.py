"""Loyalty cards, and which tenant a session may see.

Called by the loyalty worker, its sweep and the commands. Every statement on loyalty's tables needs
`see_tenant` first: row security shows a session nothing until it has said whose work it does. It
knows columns, not rules.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

ALL_TENANTS = "*"


@dataclass(frozen=True, slots=True)
class Card:
    """A card with what its programme and tenant say of it."""

    card_id: str
    programme_id: str
    brand_id: str
    customer_id: str
    time_zone: str
    debt_points: int
    stamps: int


@dataclass(frozen=True, slots=True)
class ExpiringCard:
    """A card that has a lot whose time has come."""

    tenant_id: str
    card_id: str


_SEE = text("SELECT set_config('billfleet.tenant', :tenant_id, true)")
_READ = """
    SELECT c.card_id, c.programme_id, p.brand_id, c.customer_id, t.time_zone,
           c.debt_points, c.stamps
    FROM loyalty.cards c
    JOIN loyalty.programmes p USING (tenant_id, programme_id)
    JOIN business.tenants t USING (tenant_id)
    WHERE c.tenant_id = :tenant_id AND
"""
_GET = text(_READ + " c.card_id = :card_id")
_LOCK = text(f"""
    {_READ} c.card_id = ANY(CAST(:card_ids AS text[]))
    ORDER BY c.card_id FOR NO KEY UPDATE OF c
""")
_CHANGE = text("""
    UPDATE loyalty.cards AS c
    SET debt_points = c.debt_points + n.debt_points, stamps = c.stamps + n.stamps
    FROM unnest(CAST(:card_ids AS text[]), CAST(:debt_points AS bigint[]),
                CAST(:stamps AS bigint[])) AS n(card_id, debt_points, stamps)
    WHERE c.tenant_id = :tenant_id AND c.card_id = n.card_id
""")
_OPEN = text("""
    INSERT INTO loyalty.cards (tenant_id, card_id, programme_id, customer_id)
    SELECT :tenant_id, n.card_id, :programme_id, n.customer_id
    FROM unnest(CAST(:card_ids AS text[]), CAST(:customer_ids AS text[])) AS n(card_id, customer_id)
    ON CONFLICT DO NOTHING
""")
_EXPIRING = text("""
    SELECT DISTINCT tenant_id, card_id FROM loyalty.lots
    WHERE remaining > 0 AND expires_at <= :at
      AND (tenant_id, card_id) > (:after_tenant_id, :after_card_id)
      AND (tenant_id = :tenant_id OR CAST(:tenant_id AS text) IS NULL)
    ORDER BY tenant_id, card_id LIMIT :limit
""")


async def see_tenant(connection: AsyncConnection, tenant_id: str) -> None:
    """Let this transaction see one tenant's loyalty rows, or all with `ALL_TENANTS` (R70)."""
    await connection.execute(_SEE, {"tenant_id": tenant_id})


async def lock(
    connection: AsyncConnection, tenant_id: str, card_ids: Iterable[str]
) -> dict[str, Card]:
    """Lock cards before anything that hangs on them, in one global order (R44).

    A card that the tenant does not have is left out.
    """
    values = {"tenant_id": tenant_id, "card_ids": sorted(set(card_ids))}
    return {row[0]: Card(*row) for row in await connection.execute(_LOCK, values)}


async def get(connection: AsyncConnection, tenant_id: str, card_id: str) -> Card | None:
    """Read a card without locking it."""
    values = {"tenant_id": tenant_id, "card_id": card_id}
    row = (await connection.execute(_GET, values)).one_or_none()
    return None if row is None else Card(*row)


async def change(
    connection: AsyncConnection, tenant_id: str, changes: Mapping[str, tuple[int, int]]
) -> None:
    """Add to the debt and the stamps of locked cards."""
    if not changes:
        return
    ids = sorted(changes)
    values = {
        "tenant_id": tenant_id,
        "card_ids": ids,
        "debt_points": [changes[card_id][0] for card_id in ids],
        "stamps": [changes[card_id][1] for card_id in ids],
    }
    await connection.execute(_CHANGE, values)


async def open_cards(
    connection: AsyncConnection,
    tenant_id: str,
    programme_id: str,
    holders: dict[str, str],
) -> int:
    """Create cards for customers (customer by card id); those that exist stay. How many are new."""
    ids = sorted(holders)
    values = {
        "tenant_id": tenant_id,
        "programme_id": programme_id,
        "card_ids": ids,
        "customer_ids": [holders[card_id] for card_id in ids],
    }
    return (await connection.execute(_OPEN, values)).rowcount


async def expiring(
    connection: AsyncConnection,
    *,
    at: datetime,
    tenant_id: str | None = None,
    after: tuple[str, str] = ("", ""),
    limit: int = 500,
) -> list[ExpiringCard]:
    """One page of cards with something to expire, in the order of (tenant, card)."""
    values = {
        "at": at,
        "tenant_id": tenant_id,
        "after_tenant_id": after[0],
        "after_card_id": after[1],
        "limit": limit,
    }
    found = await connection.execute(_EXPIRING, values)
    return [ExpiringCard(**row) for row in found.mappings()]
