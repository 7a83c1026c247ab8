"""The bodies that a world's events are sent with. Made once for all worlds."""

import functools
from datetime import date

from billfleet_contracts import AccountPeriod, RebillAccounts, encode, wrap
from simulation.plan import EventPlan
from simulation.sim_queue import NAME, START

GARBAGE = '{"specversion": "1.0", "data": \x00 not json'


def body_of(event: EventPlan) -> str:
    """What stands in the message."""
    if event.kind == "garbage":
        return f"{GARBAGE} {event.number}"
    body = _encoded(event.number, event.tenant, event.key, is_other=event.kind == "imposter")
    if event.kind == "stranger":
        return body.replace("rebill_accounts", "never_heard_of")
    return body


def key_of(event: EventPlan) -> str:
    """The key that delivery claims for it."""
    return f"{event.tenant}#{NAME}#k{event.key}"


@functools.cache
def _encoded(number: int, tenant: str, key: int, *, is_other: bool) -> str:
    period = AccountPeriod(
        account_id=f"A-{key}" if not is_other else "A-other", period_start=date(2026, 1, 31)
    )
    data = RebillAccounts(as_of=date(2026, 1, 31), accounts=(period,))
    return encode(
        wrap(
            data,
            tenant=tenant,
            source="/simulation",
            now=START,
            id=f"e{number}",
            dedupe_key=f"k{key}",
        )
    )
