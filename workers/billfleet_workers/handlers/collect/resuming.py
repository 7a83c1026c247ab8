"""Billing goes on when an account has paid itself out of INACTIVE, without the time in between.

`book` asks whenever it writes standings. Periods that went by while the account was INACTIVE are
not billed afterwards, unless the tenant's policy says so: each gets a refusal row that says why,
and the period of today is the next one. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from billfleet_db.accounts import Account
from billfleet_db.collection import Standing
from billfleet_workers.dates import DateOutOfRange, UnknownZone, local_today, periods_due

WHILE_INACTIVE: Final = "inactive_time"
"""The refusal's reason, which `billfleet accounts why` and `ledger verify` know."""


@dataclass(frozen=True, slots=True)
class Resumption:
    """An account that is active again: what is left out, and the period that comes next."""

    account_id: str
    left_out: tuple[date, ...]
    rebilling_date: date


def resumptions(
    accounts: Mapping[str, Account], standings: Iterable[Standing], now: datetime
) -> list[Resumption]:
    """The accounts that become active again and have missed periods, each once."""
    active = {one.account_id for one in standings if one.state == "ACTIVE"}
    found = (
        _resumption(accounts[account_id], now)
        for account_id in sorted(active)
        if accounts[account_id].state == "INACTIVE"
    )
    return [one for one in found if one is not None]


def _resumption(account: Account, now: datetime) -> Resumption | None:
    try:
        today = local_today(now, account.time_zone)
        due = tuple(
            periods_due(account.rebilling_date, account.anchor_day, account.interval_months, today)
        )
    except (UnknownZone, DateOutOfRange):
        # The rebill worker parks such an account and says what to correct.
        return None
    if len(due) < 2:
        return None
    return Resumption(account.account_id, due[:-1], due[-1])
