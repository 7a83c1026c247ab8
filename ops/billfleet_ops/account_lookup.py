"""What to say when a tenant or an account is not there: the names that may have been meant.

The account and ledger commands raise what it returns. It reads ids and compares them; it knows
nothing of what an account is.
"""

from difflib import get_close_matches

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db import history, tenants
from billfleet_ops.errors import UsageWrong

NEAR_MAX = 3


async def unknown_account(connection: AsyncConnection, tenant: str, account: str) -> UsageWrong:
    """The error for an account that is not there, with near matches."""
    known = [each.tenant_id for each in await tenants.all_tenants(connection)]
    if tenant not in known:
        return unknown_tenant(tenant, known)
    found = await history.similar_accounts(connection, tenant, account)
    elsewhere = [other for other, account_id in found if other != tenant and account_id == account]
    own = {account_id.lower(): account_id for other, account_id in found if other == tenant}
    near = [own[match] for match in get_close_matches(account.lower(), own, n=NEAR_MAX)]
    hints = []
    if near:
        hints.append(f"Did you mean {' or '.join(near)}?")
    if elsewhere:
        hints.append(f"An account of this id belongs to tenant {', '.join(elsewhere)}.")
    return UsageWrong(
        f"There is no account {account!r}",
        where=f"tenant {tenant}",
        remedy=" ".join(hints) or "Check the id. `billfleet accounts import` brings accounts in.",
    )


def unknown_tenant(tenant: str, known: list[str]) -> UsageWrong:
    """The error for a tenant that is not there, with near matches."""
    near = get_close_matches(tenant, known, n=NEAR_MAX)
    if near:
        hint = f"Did you mean {' or '.join(near)}?"
    elif known:
        hint = f"Known are {', '.join(known[:10])}{' …' if len(known) > 10 else ''}."
    else:
        hint = "There are none yet: `accounts import` and `business set` create them."
    return UsageWrong(f"There is no tenant {tenant!r}", where="--tenant", remedy=hint)
