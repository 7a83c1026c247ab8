"""Why each period of an account was billed, and why each other one was not. Pure.

`billfleet accounts why` calls it with the account's history and prints what comes back. Every
period from the first bill to the next one ahead gets a story of sentences that can be read out to
a customer. It knows no database; what can't be known from the records is said to be so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import islice
from typing import Literal
from zoneinfo import ZoneInfo

from billfleet_db.bills import Bill
from billfleet_db.history import History
from billfleet_ops import why_words as words
from billfleet_workers.dates import (
    DateOutOfRange,
    UnknownZone,
    local_today,
    period_end,
    periods_due,
)

UNBILLED_SHOWN_MAX = 120

Verdict = Literal[
    "billed",
    "left_out",
    "not_due",
    "waiting_for_sweep",
    "waiting_for_later_sweep",
    "parked",
    "inactive",
]


@dataclass(frozen=True, slots=True)
class PeriodStory:
    """One period: what became of it, and why."""

    period_start: date
    period_end: date | None
    verdict: Verdict
    due_at: datetime | None
    sentences: tuple[str, ...]
    bill_state: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    transfer_id: int | None = None
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The account's standing, and its periods from the oldest to the next one ahead."""

    tenant: str
    account_id: str
    as_of: date
    standing: tuple[str, ...]
    periods: tuple[PeriodStory, ...]


def explain(
    history: History, *, now: datetime, as_of: date | None = None, catch_up_periods_max: int
) -> Explanation:
    """Explain every billed period, every unbilled one that is due by `as_of`, and the next.

    `as_of` is a day of the account's own calendar; without it, it is today there.
    """
    account = history.account
    today = as_of or _today(account.time_zone, now)
    return Explanation(
        tenant=account.tenant_id,
        account_id=account.account_id,
        as_of=today,
        standing=tuple(_standing(history)),
        periods=(
            *sorted(_settled(history), key=lambda story: story.period_start),
            *_unbilled(history, today, catch_up_periods_max),
        ),
    )


def due_at(period_start: date, time_zone: str) -> datetime | None:
    """The moment at which the period's first day begins in the zone; None in an unknown zone."""
    try:
        zone = ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError):
        return None
    return datetime.combine(period_start, time.min, zone).astimezone(UTC)


def _today(time_zone: str, now: datetime) -> date:
    try:
        return local_today(now, time_zone)
    except UnknownZone:
        return now.astimezone(UTC).date()


def _standing(history: History) -> Iterator[str]:
    account = history.account
    often = "month" if account.interval_months == 1 else f"{account.interval_months} months"
    yield (
        f"Account {account.account_id} of tenant {account.tenant_id} is {account.state}: "
        f"{words.money(account.amount_minor, account.currency)} every {often}, "
        f"on day {account.anchor_day} of the month in {account.time_zone}."
    )
    for currency, owed_minor in history.owed_minor.items():
        if owed_minor < 0:
            yield f"It has a credit of {words.money(-owed_minor, currency)}."
        else:
            yield f"It owes {words.money(owed_minor, currency)}."
    if account.past_due_since is not None:
        yield f"It is past due since {words.moment(account.past_due_since)}."
    if account.parked_at is not None:
        yield _parked(history)
    for refusal in history.refusals:
        if refusal.period_start is None:
            yield words.refused(refusal)


def _parked(history: History) -> str:
    account = history.account
    assert account.parked_at is not None  # noqa: S101 - the callers have looked
    return (
        f"It is parked since {words.moment(account.parked_at)}: {account.parked_reason}. "
        "Nothing is billed until someone has looked at it and runs "
        f"`billfleet accounts unpark {account.account_id} --tenant {account.tenant_id}`."
    )


def _settled(history: History) -> Iterator[PeriodStory]:
    """Every period before the next one: billed, or left out for good."""
    for bill in history.bills:
        yield _billed(history, bill)
    billed = {bill.period_start for bill in history.bills}
    for refusal in history.refusals:
        start = refusal.period_start
        if refusal.reason == "inactive_time" and start is not None and start not in billed:
            due = due_at(start, history.account.time_zone)
            yield PeriodStory(start, None, "left_out", due, (words.refused(refusal),))


def _billed(history: History, bill: Bill) -> PeriodStory:
    entries = [entry for entry in history.entries if entry.period_start == bill.period_start]
    charge = next((e for e in entries if e.transfer_id == bill.charge_transfer_id), None)
    due = due_at(bill.period_start, history.account.time_zone)
    story = [_fell_due(history, due), words.charged(bill, charge)]
    story += [words.refused(r) for r in history.refusals if r.period_start == bill.period_start]
    story += [words.attempted(a) for a in history.attempts if a.period_start == bill.period_start]
    story += [words.posted(entry) for entry in entries if entry is not charge]
    story.append(words.standing(bill))
    events = [event for event in history.events if event.period_start == bill.period_start]
    story += [words.announced(event) for event in events]
    if not events:
        story.append("Its events are no longer in the outbox: they were sent a while ago.")
    return PeriodStory(
        period_start=bill.period_start,
        period_end=bill.period_end,
        verdict="billed",
        due_at=due,
        sentences=tuple(story),
        bill_state=bill.state,
        amount_minor=bill.amount_minor,
        currency=bill.currency,
        transfer_id=bill.charge_transfer_id,
        message_id=charge.work_id if charge else None,
    )


def _fell_due(history: History, due: datetime | None) -> str:
    zone = history.account.time_zone
    if due is None:
        return f"When it fell due can't be said: {zone} is not a known time zone."
    return f"It fell due at midnight in {zone}, {words.moment(due)}."


def _unbilled(history: History, today: date, catch_up_periods_max: int) -> Iterator[PeriodStory]:
    """Every period that is due and not billed, and the one after them."""
    account = history.account
    starts = periods_due(
        account.rebilling_date, account.anchor_day, account.interval_months, date.max
    )
    try:
        for place, start in enumerate(islice(starts, UNBILLED_SHOWN_MAX)):
            due = due_at(start, account.time_zone)
            waits_longer = place >= catch_up_periods_max
            verdict, why = _reason(history, start, today, due, waits_longer=waits_longer)
            refusals = [words.refused(r) for r in history.refusals if r.period_start == start]
            end = period_end(start, account.anchor_day, account.interval_months)
            yield PeriodStory(start, end, verdict, due, (*why, *refusals))
            if start > today:
                return
    except DateOutOfRange:
        return  # the calendar ends here, and so does the list


def _reason(
    history: History, start: date, today: date, due: datetime | None, *, waits_longer: bool
) -> tuple[Verdict, list[str]]:
    account = history.account
    at = f", {words.moment(due)}" if due else ""
    if start > today:
        return "not_due", [f"It is due at midnight of {start} in {account.time_zone}{at}."]
    is_due = f"It is due since midnight of {start} in {account.time_zone}{at}, and not billed."
    if account.state == "INACTIVE":
        return "inactive", [is_due, "The account is INACTIVE, and such accounts are not billed."]
    if account.parked_at is not None:
        return "parked", [is_due, _parked(history)]
    unknowable = (
        "Whether a message for it is on its way can't be seen in the database: "
        "`billfleet status` shows what waits in the queue and in its dead-letter queue."
    )
    if waits_longer:
        later = "A sweep takes the oldest missed periods first; this one is for a later sweep."
        return "waiting_for_later_sweep", [is_due, later, unknowable]
    waits = "The next `billfleet sweep rebill` enqueues it."
    return "waiting_for_sweep", [is_due, waits, unknowable]
