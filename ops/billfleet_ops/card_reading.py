"""Reads all that is shown of a loyalty card, for the command and for the console.

The balance is the worker's own figure, so that what is shown is what the worker would do.
"""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import ProgrammeRules
from billfleet_db import loyalty
from billfleet_ops.loyalty_views import CardSeen

HISTORY_MAX = 50


async def read_card(
    connection: AsyncConnection, tenant: str, card_id: str, at: datetime
) -> CardSeen | None:
    """The card at that instant; None where the tenant has none of this id."""
    # Imported here, because nobody else should wait for the whole fleet to load.
    from billfleet_workers.main.loyalty import balance_of

    await loyalty.see_tenant(connection, tenant)
    card = await loyalty.cards.get(connection, tenant, card_id)
    if card is None:
        return None
    lots = await loyalty.lots.all_lots(connection, tenant, card_id)
    found = await loyalty.programmes.rules_at(connection, tenant, card.programme_id, at)
    rules = ProgrammeRules.model_validate_json(found.as_json) if found else ProgrammeRules()
    return CardSeen(
        card,
        balance_of(lots, card.debt_points, at, rules.debt),
        at,
        lots,
        await loyalty.transactions.of_card(connection, tenant, card_id, limit=HISTORY_MAX),
        await loyalty.programmes.open_vouchers(connection, tenant, card_id),
    )
