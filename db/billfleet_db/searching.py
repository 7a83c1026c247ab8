"""Finding accounts, customers and cards by what a person knows of them: a part of an id or a name.

The console's search asks. It reads a page of matches at most, exact ids first.
"""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db.loyalty.cards import ALL_TENANTS, see_tenant

FOUND_MAX = 50


@dataclass(frozen=True, slots=True)
class FoundAccount:
    """An account and whose it is."""

    tenant_id: str
    account_id: str
    customer_id: str
    customer_name: str
    email: str | None
    state: str
    rebilling_date: date
    amount_minor: int
    currency: str
    parked_at: datetime | None
    open_bills: int
    is_overdue: bool


@dataclass(frozen=True, slots=True)
class FoundCard:
    """A loyalty card and whose it is."""

    tenant_id: str
    card_id: str
    programme_id: str
    customer_id: str
    customer_name: str
    stamps: int
    debt_points: int
    points: int


_ACCOUNTS = text("""
    SELECT a.tenant_id, a.account_id, a.customer_id, c.name AS customer_name, c.email, a.state,
           a.rebilling_date, a.amount_minor, a.currency, a.parked_at,
           (SELECT count(*) FROM billing.bills b WHERE b.tenant_id = a.tenant_id
             AND b.account_id = a.account_id AND b.state = 'open') AS open_bills,
           a.state <> 'INACTIVE'
             AND a.rebilling_date <= CAST(now() AT TIME ZONE a.time_zone AS date) AS is_overdue
    FROM billing.accounts a JOIN customer.customers c USING (tenant_id, customer_id)
    WHERE :sought = '' OR a.account_id ILIKE :part OR a.customer_id ILIKE :part
       OR c.name ILIKE :part OR c.email ILIKE :part
    ORDER BY (a.account_id = :sought OR a.customer_id = :sought) DESC, a.tenant_id, a.account_id
    LIMIT :limit
""")
_CARDS = text("""
    SELECT k.tenant_id, k.card_id, k.programme_id, k.customer_id, c.name AS customer_name,
           k.stamps, k.debt_points,
           CAST(coalesce((SELECT sum(l.remaining) FROM loyalty.lots l
             WHERE l.tenant_id = k.tenant_id
             AND l.card_id = k.card_id AND l.remaining > 0), 0) AS bigint) AS points
    FROM loyalty.cards k JOIN customer.customers c USING (tenant_id, customer_id)
    WHERE :sought = '' OR k.card_id ILIKE :part OR k.customer_id ILIKE :part
       OR c.name ILIKE :part OR c.email ILIKE :part
    ORDER BY (k.card_id = :sought OR k.customer_id = :sought) DESC, k.tenant_id, k.card_id
    LIMIT :limit
""")
_CARDS_OF = text("""
    SELECT tenant_id, card_id FROM loyalty.cards
    WHERE tenant_id = :tenant_id AND customer_id = :customer_id ORDER BY card_id
""")


async def find_accounts(connection: AsyncConnection, sought: str) -> list[FoundAccount]:
    """Accounts whose id, customer, name or address contains this."""
    found = await connection.execute(_ACCOUNTS, _values(sought))
    return [FoundAccount(**row) for row in found.mappings()]


async def find_cards(connection: AsyncConnection, sought: str) -> list[FoundCard]:
    """Cards whose id, customer, name or address contains this."""
    await see_tenant(connection, ALL_TENANTS)
    found = await connection.execute(_CARDS, _values(sought))
    return [FoundCard(**row) for row in found.mappings()]


async def cards_of(connection: AsyncConnection, tenant_id: str, customer_id: str) -> list[str]:
    """The customer's cards."""
    await see_tenant(connection, tenant_id)
    values = {"tenant_id": tenant_id, "customer_id": customer_id}
    return [row.card_id for row in await connection.execute(_CARDS_OF, values)]


def _values(sought: str) -> dict[str, str | int]:
    escaped = sought.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return {"sought": sought, "part": f"%{escaped}%", "limit": FOUND_MAX}
