"""The sentences of `accounts why`: one fact of the records in, one sentence for a customer out.

`why` puts them in order. Each function takes a row and words it; none decides anything about
billing.
"""

from datetime import datetime

from billfleet_db.attempts import Attempt
from billfleet_db.bills import Bill
from billfleet_db.history import OutgoingEvent
from billfleet_db.ledger import Entry
from billfleet_db.refusals import Refusal
from billfleet_workers.money import MoneyError, format_minor

_REFUSALS = {
    "parked": "the account was parked",
    "inactive": "the account was inactive",
    "beyond_horizon": "the period starts further ahead than a right clock would ask for",
    "unknown_account": "the account did not exist yet",
    "inactive_time": "it went by while the account was inactive, and is not billed afterwards",
}
_NOTES = {
    "below_minimum": "the amount is below what the gateway charges; it stays due, not failed",
    "exhausted": "all attempts of the dunning policy were declined",
    "no_payment_method": "the account has no payment method; import one and it goes on",
    "above_maximum": "the amount is above what the gateway charges at once",
    "refused_request": "the gateway refused the request as invalid and took no money; put right "
    "what `billfleet payments show` quotes, then `billfleet payments retry`",
    "postponed": "an older period of this account was declined and comes first",
    "capped": "it was tried as often in 30 days as the card networks allow",
    "paid_twice": "it was paid twice; give one back at the gateway, then `billfleet ledger refund`",
    "not_sent": "the gateway could not be reached; it is tried again",
    "hard_decline": "the payment method was refused for good; a new one is needed",
}
_CORRECTIONS = {
    "refund": "was given back to the customer",
    "reversal": "was posted in reverse",
    "write_off": "was written off as lost",
}


def moment(at: datetime) -> str:
    """`2026-01-31 05:00 UTC`; seconds only where they say something."""
    return f"{at:%Y-%m-%d %H:%M:%S}".removesuffix(":00") + " UTC"


def money(amount_minor: int, currency: str) -> str:
    """An amount for people; a currency that can't be read shows its minor units."""
    try:
        return format_minor(amount_minor, currency)
    except MoneyError:
        return f"{amount_minor} minor units of {currency}"


def charged(bill: Bill, charge: Entry | None) -> str:
    """When the period was billed, and by which message."""
    amount = money(bill.amount_minor, bill.currency)
    if charge is None:
        return f"{amount} was billed on {moment(bill.created_at)}; its ledger row is missing."
    return (
        f"{amount} was billed on {moment(charge.posted_at)} by message {charge.work_id} "
        f"(transfer {charge.transfer_id})."
    )


def attempted(attempt: Attempt) -> str:
    """What was tried, and what the gateway answered."""
    start = f"Attempt {attempt.attempt_no} at {moment(attempt.created_at)}"
    gateway = f"the gateway ({attempt.gateway})"
    match attempt.state:
        case "succeeded":
            reference = (
                f", reference {attempt.gateway_reference}" if attempt.gateway_reference else ""
            )
            return f"{start}: {gateway} took the payment{reference}."
        case "declined":
            kind = "for good" if attempt.decline_kind == "hard" else "for now"
            return f"{start}: {gateway} declined {kind} ({attempt.decline_code or 'no code'})."
        case "not_sent":
            return f"{start} never reached {gateway}: {attempt.error or 'no reason recorded'}."
        case "prepared":
            until = f" after {moment(attempt.leased_until)}" if attempt.leased_until else ""
            return f"{start} is being made; if its worker is gone, another takes it up{until}."
        case _:
            return f"{start}: {_unknown(attempt, gateway)}"


def _unknown(attempt: Attempt, gateway: str) -> str:
    asked = f"{gateway} was asked {attempt.checks_made} times since"
    if attempt.next_check_at is None:
        return (
            f"the answer was lost and {asked}. A person has to look it up there; "
            "nothing new is tried before that."
        )
    return (
        f"the answer was lost and {asked}, next on {moment(attempt.next_check_at)}. "
        "Nothing new is tried before it is known."
    )


def standing(bill: Bill) -> str:
    """Where collecting the bill stands."""
    if bill.state == "paid":
        if bill.amount_minor == 0:
            return "There was nothing to collect: the amount is zero."
        return f"It was paid on {moment(bill.paid_at)}." if bill.paid_at else "It is paid."
    if bill.state == "uncollectible":
        return "It was given up as uncollectible."
    if bill.state == "void":
        return "It was voided; nothing is owed for it."
    note = bill.collection_note and _NOTES.get(bill.collection_note, bill.collection_note)
    if bill.next_attempt_at is not None:
        if is_refused_for_good(bill):
            end = moment(bill.next_attempt_at)
            return f"It is unpaid: {note}, or the account becomes inactive on {end}."
        because = f" ({note})" if note else ""
        return f"It is unpaid; collecting is due on {moment(bill.next_attempt_at)}{because}."
    return f"It is unpaid and nothing will be tried by itself: {note or 'no reason recorded'}."


def is_refused_for_good(bill: Bill) -> bool:
    """Whether nothing is tried before another payment method is known; its date is an end."""
    return bill.collection_note == "hard_decline"


def posted(entry: Entry) -> str:
    """A row of the ledger other than the charge."""
    amount = money(entry.amount_minor, entry.currency)
    on = f"on {moment(entry.posted_at)} (transfer {entry.transfer_id})"
    if entry.kind == "payment":
        return f"The payment of {amount} was entered {on}."
    what = _CORRECTIONS.get(entry.kind, f"was posted as {entry.kind}")
    of = f" of transfer {entry.reverses}" if entry.reverses is not None else ""
    because = f": {entry.reason}" if entry.reason else ""
    return f"{amount}{of} {what} {on}{because}."


def announced(event: OutgoingEvent) -> str:
    """An event about the period, and whether it has left."""
    name = event.event_type.split(".")[-2]
    if event.sent_at is None:
        return f"Event {name} waits in the outbox since {moment(event.created_at)}."
    return f"Event {name} was sent on {moment(event.sent_at)} (id {event.event_id})."


def refused(refusal: Refusal) -> str:
    """Why a worker would not bill the period."""
    reason = _REFUSALS.get(refusal.reason, refusal.reason)
    by = f" (message {refusal.work_id})" if refusal.work_id else ""
    return f"A worker refused to bill it on {moment(refusal.refused_at)}{by}: {reason}."
