"""What is known of an account when something is decided about one of its bills. Values only.

`book` reads it under lock; `decide` and `judge` look at it and touch nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Final

from billfleet_db.accounts import Account
from billfleet_db.attempts import UNRESOLVED, Attempt, Declines
from billfleet_db.bills import Bill
from billfleet_db.collection import BillChange, Standing

HARD_DECLINE: Final = "hard_decline"
EXHAUSTED: Final = "exhausted"
POSTPONED: Final = "postponed"
CAPPED: Final = "capped"
STOPPED: Final = frozenset({HARD_DECLINE, EXHAUSTED})
"""Notes of bills that nothing but a new payment method sets going again."""
_OWING: Final = STOPPED | {POSTPONED, CAPPED}


@dataclass(frozen=True, slots=True)
class Situation:
    """An account, its open bills and the one in question, and their attempts."""

    account: Account
    bills: tuple[Bill, ...]
    attempts: tuple[Attempt, ...]
    declines: Mapping[str, Declines] = field(default_factory=dict)
    """By currency: an account that changed its own may still owe in another."""

    @property
    def unresolved(self) -> Attempt | None:
        """The one attempt of the account whose outcome is open."""
        return next((one for one in self.attempts if one.state in UNRESOLVED), None)

    def bill(self, period_start: date) -> Bill | None:
        """The bill of a period."""
        return next((one for one in self.bills if one.period_start == period_start), None)

    def attempt(self, attempt_key: str) -> Attempt | None:
        """The attempt of a key."""
        return next((one for one in self.attempts if one.attempt_key == attempt_key), None)

    def attempts_at(self, period_start: date) -> tuple[Attempt, ...]:
        """The attempts at a bill, oldest first."""
        return tuple(one for one in self.attempts if one.period_start == period_start)

    def with_bill(self, change: BillChange) -> "Situation":
        """The same after a bill has changed."""
        bills = (_changed(one, change) for one in self.bills)
        return replace(self, bills=tuple(bills))


def is_stopped(bill: Bill) -> bool:
    """Whether nothing will be tried at this open bill by itself, because of a decline."""
    return bill.state == "open" and bill.collection_note in STOPPED


def unchanged(bill: Bill) -> BillChange:
    """A change that changes nothing, to be altered with `replace`."""
    return BillChange(
        account_id=bill.account_id,
        period_start=bill.period_start,
        state=bill.state,
        attempts_made=bill.attempts_made,
        next_attempt_at=bill.next_attempt_at,
        first_failed_at=bill.first_failed_at,
        collection_note=bill.collection_note,
        paid_at=bill.paid_at,
    )


def standing(situation: Situation, *, is_unknown: bool) -> Standing:
    """The state that the account has now, given its bills.

    An account that its debts made INACTIVE has `past_due_since`; paying all of them makes it
    ACTIVE. A cancelled one has not, and stays cancelled when it pays its last bill.
    """
    owing = [bill for bill in situation.bills if _is_owing(bill)]
    since = min(_failures(owing), default=None)
    account = situation.account
    if account.state == "INACTIVE":
        if account.past_due_since is None:
            return Standing(account.account_id, "INACTIVE", None)
        is_free = not owing and not is_unknown
        return Standing(
            account.account_id,
            "ACTIVE" if is_free else "INACTIVE",
            # It says that debts were the reason, so it stays until the account is free.
            None if is_free else since or account.past_due_since,
        )
    if is_unknown:
        return Standing(account.account_id, "PENDING", since)
    if any(bill.collection_note == EXHAUSTED for bill in owing):
        return Standing(account.account_id, "INACTIVE", since)
    return Standing(account.account_id, "PAST_DUE" if owing else "ACTIVE", since)


def _is_owing(bill: Bill) -> bool:
    has_failed = bill.first_failed_at is not None or bill.collection_note in _OWING
    return bill.state == "open" and has_failed


def _failures(bills: Iterable[Bill]) -> Iterable[datetime]:
    return (bill.first_failed_at for bill in bills if bill.first_failed_at is not None)


def _changed(bill: Bill, change: BillChange) -> Bill:
    if (bill.account_id, bill.period_start) != (change.account_id, change.period_start):
        return bill
    return replace(
        bill,
        state=change.state,
        attempts_made=change.attempts_made,
        next_attempt_at=change.next_attempt_at,
        first_failed_at=change.first_failed_at,
        collection_note=change.collection_note,
        paid_at=change.paid_at,
    )
