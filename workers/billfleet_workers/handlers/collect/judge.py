"""What an answer of the gateway changes: the attempt, its bill, the ledger. Pure.

The handler calls it after the call, with what is recorded *now*, under lock: a webhook or another
worker may have been faster. A conclusion once recorded is only replaced by the truth, which is
what the gateway says when it is asked about the contradiction.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from billfleet_db.attempts import Attempt, AttemptChange
from billfleet_db.bills import Bill
from billfleet_db.collection import BillChange
from billfleet_workers.handlers.collect.decide import Terms
from billfleet_workers.handlers.collect.policy import DunningRules
from billfleet_workers.handlers.collect.situation import (
    EXHAUSTED,
    HARD_DECLINE,
    Situation,
    is_stopped,
    unchanged,
)
from billfleet_workers.runtime.ports.payments import (
    Busy,
    Declined,
    GatewayAnswer,
    NotSent,
    Succeeded,
    Unknown,
)

Authority = Literal["call", "truth", "person"]
"""Who speaks: the answer to our call, the gateway about a contradiction, or an operator."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer, and what the one who got it knew."""

    answer: GatewayAnswer
    authority: Authority = "call"
    lease_token: str | None = None
    maybe_sent_before: bool = False
    """Whether an earlier call under this key may have reached the gateway."""
    pays_otherwise: bool = False
    """Whether the account has been given another payment method than was asked."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is written for one attempt."""

    note: str
    attempt: AttemptChange | None = None
    bill: BillChange | None = None
    released: tuple[BillChange, ...] = ()
    """Other bills of the account that only this one's trouble had stopped."""
    ledger: Literal["none", "pay", "take_back"] = "none"
    announces: Literal["nothing", "succeeded", "failed"] = "nothing"
    again_in_s: float | None = None


def contradicts(attempt: Attempt, answer: GatewayAnswer) -> bool:
    """Whether the answer is the opposite of what is recorded as concluded."""
    if isinstance(answer, Succeeded):
        return attempt.state == "declined"
    return isinstance(answer, Declined) and attempt.state == "succeeded"


def judge(
    attempt: Attempt, situation: Situation, heard: Heard, rules: DunningRules, terms: Terms
) -> Judgement:
    """Say what the answer changes."""
    judgement = _judge(attempt, situation, heard, rules, terms)
    if judgement.announces == "failed" and judgement.bill is not None and heard.pays_otherwise:
        # The refusal is the old method's. The new one has its retry, which no command will give it.
        due = replace(judgement.bill, next_attempt_at=terms.now, collection_note="declined")
        return replace(judgement, bill=due)
    return judgement


def _judge(
    attempt: Attempt, situation: Situation, heard: Heard, rules: DunningRules, terms: Terms
) -> Judgement:
    if attempt.state in {"succeeded", "declined"}:
        return _on_concluded(attempt, situation, heard, rules, terms)
    match heard.answer:
        case Succeeded():
            return _paid(attempt, situation, heard.answer, rules, terms.now)
        case Declined():
            return _failed(attempt, situation, heard.answer, rules, terms.now)
        case _ if attempt.lease_token != heard.lease_token:
            return Judgement("lease_lost")
        case Unknown():
            return _unknown(attempt, heard.answer.reason, terms)
        case NotSent():
            return _not_sent(attempt, situation, heard.answer, heard.maybe_sent_before, terms)
        case Busy():
            return _busy(attempt, heard.answer, terms.now)


def _on_concluded(
    attempt: Attempt, situation: Situation, heard: Heard, rules: DunningRules, terms: Terms
) -> Judgement:
    if not contradicts(attempt, heard.answer):
        return Judgement("known_already")
    match heard.answer:
        # Money that was taken is never overlooked: the next attempt would take it again.
        case Succeeded() if heard.authority != "person":
            return _paid(attempt, situation, heard.answer, rules, terms.now)
        case Declined() if heard.authority == "truth":
            return _failed(attempt, situation, heard.answer, rules, terms.now)
        case _:
            return Judgement("kept_as_recorded")


def _paid(
    attempt: Attempt, situation: Situation, answer: Succeeded, rules: DunningRules, now: datetime
) -> Judgement:
    change = AttemptChange(
        attempt.attempt_key,
        "succeeded",
        gateway_reference=answer.reference or attempt.gateway_reference,
        checks_made=attempt.checks_made,
        concluded_at=now,
    )
    bill = situation.bill(attempt.period_start)
    if bill is None or bill.state in {"paid", "void"}:
        # The money came all the same: the ledger shows it as the customer's credit.
        return Judgement("paid_twice", change, _noted(bill), (), "pay", "succeeded")
    paid = replace(
        unchanged(bill),
        state="paid",
        attempts_made=_attempts_made(bill, attempt),
        next_attempt_at=None,
        collection_note=None,
        paid_at=now,
    )
    released = _released(situation.with_bill(paid), rules, now)
    return Judgement("paid", change, paid, released, "pay", "succeeded")


def _released(situation: Situation, rules: DunningRules, now: datetime) -> tuple[BillChange, ...]:
    """Stopped bills go on, unless one of them is stopped by a decline of its own."""
    stopped = [one for one in situation.bills if is_stopped(one)]
    if any(_stops_itself(one, situation, rules, now) for one in stopped):
        return ()
    return tuple(
        replace(unchanged(one), next_attempt_at=_goes_on_at(one, rules, now), collection_note=None)
        for one in stopped
    )


def _stops_itself(bill: Bill, situation: Situation, rules: DunningRules, now: datetime) -> bool:
    tried = situation.attempts_at(bill.period_start)
    is_hard = bool(tried) and tried[-1].decline_kind == "hard"
    return is_hard or _goes_on_at(bill, rules, now) is None


def _goes_on_at(bill: Bill, rules: DunningRules, now: datetime) -> datetime | None:
    if bill.first_failed_at is None:
        return now
    return rules.next_attempt_at(bill.first_failed_at, bill.attempts_made, now)


def _noted(bill: Bill | None) -> BillChange | None:
    return None if bill is None else replace(unchanged(bill), collection_note="paid_twice")


def _failed(
    attempt: Attempt, situation: Situation, answer: Declined, rules: DunningRules, now: datetime
) -> Judgement:
    change = AttemptChange(
        attempt.attempt_key,
        "declined",
        gateway_reference=answer.reference or attempt.gateway_reference,
        decline_code=answer.code,
        decline_kind=answer.kind,
        checks_made=attempt.checks_made,
        concluded_at=now,
    )
    is_taken_back = attempt.state == "succeeded"
    ledger: Literal["none", "take_back"] = "take_back" if is_taken_back else "none"
    bill = situation.bill(attempt.period_start)
    if bill is None or not _becomes_due(bill, attempt, situation):
        return Judgement("declined", change, None, (), ledger)
    first_failed_at = bill.first_failed_at or now
    made = _attempts_made(bill, attempt)
    if answer.kind == "soft":
        next_at, note = rules.next_attempt_at(first_failed_at, made, now), "declined"
    else:
        # Nothing is tried then, but the account's time to find another payment method is over.
        next_at, note = rules.ends_at(first_failed_at), HARD_DECLINE
    if next_at is None or next_at <= now:
        next_at, note = None, EXHAUSTED
    due = replace(
        unchanged(bill),
        state="open",
        attempts_made=made,
        next_attempt_at=next_at,
        first_failed_at=first_failed_at,
        collection_note=note,
        paid_at=None,
    )
    return Judgement("declined", change, due, (), ledger, "failed")


def _becomes_due(bill: Bill, attempt: Attempt, situation: Situation) -> bool:
    """Open, or paid by nothing but the payment that is now taken back."""
    if bill.state == "open":
        return True
    others = (one for one in situation.attempts_at(bill.period_start) if one != attempt)
    is_paid_otherwise = any(one.state == "succeeded" for one in others)
    return bill.state == "paid" and attempt.state == "succeeded" and not is_paid_otherwise


def _attempts_made(bill: Bill, attempt: Attempt) -> int:
    """A correction is the same attempt, so it is not counted again."""
    return bill.attempts_made + (0 if attempt.state in {"succeeded", "declined"} else 1)


def _unknown(attempt: Attempt, reason: str, terms: Terms) -> Judgement:
    checks_made = attempt.checks_made + (1 if attempt.state == "unknown" else 0)
    delays = terms.policy.check_delays
    next_at = terms.now + delays[checks_made] if checks_made < len(delays) else None
    change = AttemptChange(
        attempt.attempt_key, "unknown", error=reason, checks_made=checks_made, next_check_at=next_at
    )
    return Judgement("unknown" if next_at else "needs_a_person", change)


def _not_sent(
    attempt: Attempt,
    situation: Situation,
    answer: NotSent,
    maybe_sent_before: bool,
    terms: Terms,
) -> Judgement:
    policy = terms.policy
    # What is refused for ever was refused before, too: the request under a key is always the same.
    if maybe_sent_before and answer.objection is None:
        # Only this call is known not to have arrived. The question stays open and uncounted.
        change = AttemptChange(
            attempt.attempt_key,
            "unknown",
            error=answer.reason,
            checks_made=attempt.checks_made,
            next_check_at=terms.now + policy.check_delays[0],
        )
        return Judgement("not_sent", change)
    change = AttemptChange(attempt.attempt_key, "not_sent", error=answer.reason)
    bill = situation.bill(attempt.period_start)
    if bill is None or bill.state != "open":
        return Judgement("not_sent", change)
    if answer.objection is not None:
        held = replace(unchanged(bill), next_attempt_at=None, collection_note=answer.objection)
        return Judgement(answer.objection, change, held)
    due = replace(
        unchanged(bill),
        next_attempt_at=terms.now + policy.not_sent_delay,
        collection_note="not_sent",
    )
    return Judgement("not_sent", change, due, again_in_s=policy.retry_after_s)


def _busy(attempt: Attempt, answer: Busy, now: datetime) -> Judgement:
    change = AttemptChange(
        attempt.attempt_key,
        attempt.state,
        error=answer.reason,
        checks_made=attempt.checks_made,
        next_check_at=attempt.next_check_at,
        # Nobody calls before the gateway is ready, and then anybody may.
        leased_until=now + timedelta(seconds=answer.retry_after_s),
    )
    return Judgement("busy", change, again_in_s=answer.retry_after_s)
