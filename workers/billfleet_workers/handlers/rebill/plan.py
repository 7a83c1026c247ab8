"""What becomes of each period that a message names: charged, skipped, or its account parked. Pure.

The handler calls it with the accounts it has locked, and acts on what comes back. Periods of an
account are taken oldest first, and only the one that its rebilling date names can be charged, so
that a stale message changes nothing and an early one waits. It knows no database and no queue.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Literal

from billfleet_contracts import INTEGER_MAX, AccountPeriod
from billfleet_db.accounts import Account
from billfleet_workers.dates import (
    ONE_DAY,
    DateOutOfRange,
    UnknownZone,
    local_today,
    next_period,
)
from billfleet_workers.money import UnknownCurrency, exponent

SkipReason = Literal[
    "stale_period",  # the account's date is past it: billed, or moved on, while the message waited
    "earlier_period_first",  # an older period is not billed yet; the account stays due
    "not_due",  # it starts after the message's own date
    "beyond_horizon",  # further ahead than a right clock would ask for
    "parked",
    "inactive",
    "unknown_account",
]
ParkReason = Literal[
    "too_many_charges",  # more in one day than a healthy account has
    "unknown_time_zone",
    "unknown_currency",
    "amount_too_large",
    "date_out_of_range",
    "refused_by_database",  # a constraint said no, and only for this account
]
REFUSALS: frozenset[SkipReason] = frozenset(
    {"beyond_horizon", "parked", "inactive", "unknown_account"}
)
"""The reasons that are recorded, because somebody has to do something about them."""


@dataclass(frozen=True, slots=True)
class RebillLimits:
    """How much is billed at once, and how far ahead."""

    catch_up_periods_max: int = 12
    """Missed periods of one account that one sweep sends."""
    charges_per_day_max: int = 15
    """Charges of one account per UTC day; one more parks it."""
    horizon_days: int = 35
    """No period that starts further ahead of the account's own today is billed."""


@dataclass(frozen=True, slots=True)
class Charge:
    """Bill the period, with the price as it is now, and go on to the next date."""

    account_id: str
    period_start: date
    period_end: date
    next_period_on: date
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Skip:
    """Leave the period alone."""

    account_id: str
    period_start: date
    reason: SkipReason


@dataclass(frozen=True, slots=True)
class Park:
    """Hold the account until a person has looked at it."""

    account_id: str
    period_start: date
    reason: ParkReason
    detail: str = ""

    @property
    def explanation(self) -> str:
        """The reason, and what it says of this account, for the people who will look at it."""
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


Outcome = Charge | Skip | Park


@dataclass(frozen=True, slots=True)
class Terms:
    """What all periods of one message have in common."""

    as_of: date
    now: datetime
    limits: RebillLimits


def plan_rebill(
    accounts: Mapping[str, Account],
    items: Sequence[AccountPeriod],
    charges_today: Mapping[str, int],
    terms: Terms,
) -> list[Outcome]:
    """One outcome per item, ordered by account and then by period."""
    outcomes: list[Outcome] = []
    ordered = sorted(items, key=attrgetter("account_id", "period_start"))
    for account_id, group in groupby(ordered, key=attrgetter("account_id")):
        period_starts = [item.period_start for item in group]
        account = accounts.get(account_id)
        if account is None:
            outcomes += [Skip(account_id, start, "unknown_account") for start in period_starts]
        else:
            charged = charges_today.get(account_id, 0)
            outcomes += _plan_account(account, period_starts, charged, terms)
    return outcomes


def _plan_account(
    account: Account, period_starts: Iterable[date], charged: int, terms: Terms
) -> Iterator[Outcome]:
    for period_start in period_starts:
        outcome = _plan_period(account, period_start, charged, terms)
        yield outcome
        match outcome:
            case Charge():
                account = replace(account, rebilling_date=outcome.next_period_on)
                charged += 1
            case Park():
                account = replace(account, parked_at=terms.now, parked_reason=outcome.reason)
            case Skip():
                pass


def _plan_period(account: Account, period_start: date, charged: int, terms: Terms) -> Outcome:
    reason = _reason_to_skip(account, period_start, terms.as_of)
    if reason is not None:
        return Skip(account.account_id, period_start, reason)
    try:
        exponent(account.currency)
        today = local_today(terms.now, account.time_zone)
        following = next_period(period_start, account.anchor_day, account.interval_months)
    except UnknownZone as error:
        return Park(account.account_id, period_start, "unknown_time_zone", str(error))
    except UnknownCurrency as error:
        return Park(account.account_id, period_start, "unknown_currency", str(error))
    except DateOutOfRange as error:
        return Park(account.account_id, period_start, "date_out_of_range", str(error))
    if period_start > today + timedelta(days=terms.limits.horizon_days):
        return Skip(account.account_id, period_start, "beyond_horizon")
    if account.amount_minor > INTEGER_MAX:
        detail = f"{account.amount_minor} is more than an event can carry"
        return Park(account.account_id, period_start, "amount_too_large", detail)
    if charged >= terms.limits.charges_per_day_max:
        detail = f"{charged} charges today"
        return Park(account.account_id, period_start, "too_many_charges", detail)
    return Charge(
        account_id=account.account_id,
        period_start=period_start,
        period_end=following - ONE_DAY,
        next_period_on=following,
        amount_minor=account.amount_minor,
        currency=account.currency,
    )


def _reason_to_skip(account: Account, period_start: date, as_of: date) -> SkipReason | None:
    if period_start < account.rebilling_date:
        return "stale_period"
    if account.parked_at is not None:
        return "parked"
    if account.state == "INACTIVE":
        return "inactive"
    if period_start > account.rebilling_date:
        return "earlier_period_first"
    if period_start > as_of:
        return "not_due"
    return None
