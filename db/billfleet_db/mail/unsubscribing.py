"""What following an unsubscribe link does: the customer's consent ends, once (R53).

The gateway calls it for a POST, never for a GET, with the subject of a link that it has verified.
It must not know tokens.
"""

from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db.customers import get_customers
from billfleet_db.mail import recipients

LISTS: Final = frozenset({"marketing"})
"""What a customer can leave; the name is also the purpose of the consent."""


async def unsubscribe(
    connection: AsyncConnection, tenant_id: str, subject: str, *, now: datetime
) -> bool:
    """End the consent that a link's subject (`marketing:<customer id>`) names.

    Repeating it changes nothing. False: there is no such list or customer.
    """
    name, _, customer_id = subject.partition(":")
    if name not in LISTS:
        return False
    if customer_id not in await get_customers(connection, tenant_id, [customer_id]):
        return False
    await recipients.decide_consent(
        connection, tenant_id, customer_id, name, is_given=False, now=now
    )
    return True
