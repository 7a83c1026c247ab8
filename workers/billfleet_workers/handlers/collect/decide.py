"""What to do about a bill that a message asks to collect. Pure.

The handler calls it under the account's lock, right before the gateway is called, and acts on the
value that comes back. An attempt whose outcome is open goes before everything else, and an account
whose payment method was just declined is not asked for its next period in the same breath.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from billfleet_contracts import ChargeRef
from billfleet_db.attempts import Attempt
from billfleet_db.bills import Bill
from billfleet_workers.handlers.collect.policy import CollectPolicy, DunningRules
from billfleet_workers.handlers.collect.situation import (
    CAPPED,
    EXHAUSTED,
    POSTPONED,
    Situation,
    is_stopped,
)

NETWORK_WINDOW = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing is to be done now; what is recorded already says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Waive:
    """There is nothing to pay: the bill is settled without the gateway."""


@dataclass(frozen=True, slots=True)
class NewAttempt:
    """Save an attempt under a new key, then call."""

    attempt_no: int


@dataclass(frozen=True, slots=True)
class Resend:
    """Send an attempt that never left us, under its own key."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Resolve:
    """Find out what became of an attempt, of this bill or of another one of the account."""

    attempt: Attempt
    ask_first: bool
    may_charge: bool


@dataclass(frozen=True, slots=True)
class Busy:
    """Another worker is calling the gateway about this account until then."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Wait:
    """Collect it later, and note why."""

    until: datetime
    note: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """The bill stays open; nothing is tried by itself until what the note says has changed."""

    reason: str


Decision = Settled | Waive | NewAttempt | Resend | Resolve | Busy | Wait | Refuse


@dataclass(frozen=True, slots=True)
class Terms:
    """What all decisions of one moment have in common."""

    now: datetime
    policy: CollectPolicy
    gateway: str


def decide(
    ref: ChargeRef,
    situation: Situation,
    rules: DunningRules,
    objection: str | None,
    terms: Terms,
) -> Decision:
    """One decision. `objection` is what the gateway says against charging this bill at all."""
    bill = situation.bill(ref.period_start)
    if bill is None:
        return Settled("unknown_bill")
    unresolved = situation.unresolved
    is_its_own = unresolved is not None and unresolved.period_start == ref.period_start
    if bill.state != "open" and not is_its_own:
        return Settled(f"already_{bill.state}")
    if unresolved is not None:
        return _about_unresolved(unresolved, situation, terms)
    if bill.amount_minor == 0:
        return Waive()
    if ref.attempt_no != bill.attempts_made + 1:
        return Settled("stale")
    return (
        _held_back(bill, situation, rules, terms.now)
        or (Refuse(objection) if objection else None)
        or _attempt_at(bill, situation, terms.gateway)
    )


def _about_unresolved(attempt: Attempt, situation: Situation, terms: Terms) -> Decision:
    if attempt.leased_until is not None and attempt.leased_until > terms.now:
        return Busy(attempt.leased_until)
    if attempt.gateway != terms.gateway:
        return Settled("other_gateway")
    if attempt.state == "unknown" and attempt.next_check_at is None:
        return Settled("needs_a_person")
    if attempt.next_check_at is not None and attempt.next_check_at > terms.now:
        return Settled("check_not_due")
    bill = situation.bill(attempt.period_start)
    is_old = terms.now - attempt.created_at >= terms.policy.key_trusted_for
    # Paid on another way meanwhile: the gateway may be asked, but never told to charge again.
    is_payable = bill is not None and bill.state == "open"
    ask_first = is_old or attempt.state == "unknown" or not is_payable
    return Resolve(attempt, ask_first=ask_first, may_charge=is_payable)


def _held_back(
    bill: Bill, situation: Situation, rules: DunningRules, now: datetime
) -> Decision | None:
    """What the account's declines so far say against another attempt now."""
    open_bills = [one for one in situation.bills if one.state == "open"]
    is_early = bill.next_attempt_at is not None and bill.next_attempt_at > now
    if is_stopped(bill):
        is_over = bill.next_attempt_at is not None and not is_early
        return Refuse(EXHAUSTED) if is_over else Settled(str(bill.collection_note))
    stopped = next((one.collection_note for one in open_bills if is_stopped(one)), None)
    if stopped is not None:
        return Refuse(stopped)
    if bill.attempts_made > 0 and is_early:
        return Settled("not_due")
    older = [one.next_attempt_at for one in open_bills if one.period_start < bill.period_start
             and one.first_failed_at and one.next_attempt_at]  # fmt: skip
    after_older = max((at for at in older if at > now), default=None)
    if after_older is not None:
        return Wait(after_older, POSTPONED)
    declines = situation.declines.get(bill.currency)
    if declines is not None and declines.count >= rules.declines_per_30_days_max:
        return Wait(declines.oldest_at + NETWORK_WINDOW, CAPPED)
    return None


def _attempt_at(bill: Bill, situation: Situation, gateway: str) -> Decision:
    earlier = situation.attempts_at(bill.period_start)
    last = earlier[-1] if earlier else None
    if last is not None and last.state == "not_sent" and last.gateway == gateway:
        return Resend(last)
    return NewAttempt(last.attempt_no + 1 if last is not None else 1)
