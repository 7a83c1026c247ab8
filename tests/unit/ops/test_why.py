from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from billfleet_db.accounts import Account
from billfleet_db.attempts import Attempt
from billfleet_db.bills import Bill
from billfleet_db.history import History, OutgoingEvent
from billfleet_db.ledger import Entry
from billfleet_db.refusals import Refusal
from billfleet_ops.why import Explanation, PeriodStory, explain

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
JANUARY = date(2026, 1, 31)
BILLED_AT = datetime(2026, 1, 31, 6, tzinfo=UTC)
ACCOUNT = Account(
    tenant_id="acme",
    account_id="A-1",
    customer_id="A-1",
    plan_id=None,
    amount_minor=2985,
    currency="USD",
    interval_months=1,
    commitment_months=1,
    anchor_day=31,
    time_zone="America/New_York",
    rebilling_date=date(2026, 2, 28),
    state="ACTIVE",
    generation=0,
    parked_at=None,
    parked_reason=None,
    past_due_since=None,
    payment_method=None,
    payment_method_version=1,
)
BILL = Bill(
    tenant_id="acme",
    account_id="A-1",
    period_start=JANUARY,
    period_end=date(2026, 2, 27),
    amount_minor=2985,
    currency="USD",
    charge_transfer_id=7,
    state="open",
    attempts_made=0,
    next_attempt_at=BILLED_AT + timedelta(hours=1),
    first_failed_at=None,
    collection_note=None,
    paid_at=None,
    created_at=BILLED_AT,
)
CHARGE = Entry(
    transfer_id=7,
    transfer_key="charge:A-1:2026-01-31",
    kind="charge",
    period_start=JANUARY,
    debit="receivable",
    credit="revenue",
    amount_minor=2985,
    currency="USD",
    owed_change_minor=2985,
    reverses=None,
    reason=None,
    work_id="message-1",
    posted_at=BILLED_AT,
)
PAYMENT = replace(CHARGE, transfer_id=8, kind="payment", debit="cash", credit="receivable")
ATTEMPT = Attempt(
    tenant_id="acme",
    account_id="A-1",
    attempt_key="acme:A-1:2026-01-31:1",
    request_body="{}",
    lease_token=None,
    period_start=JANUARY,
    attempt_no=1,
    gateway="log",
    amount_minor=2985,
    currency="USD",
    state="succeeded",
    gateway_reference="ref-9",
    decline_code=None,
    decline_kind=None,
    error=None,
    leased_until=None,
    checks_made=0,
    next_check_at=None,
    work_id="message-2",
    created_at=BILLED_AT,
    concluded_at=BILLED_AT,
)
EVENT = OutgoingEvent(
    period_start=JANUARY,
    event_id="event-1",
    event_type="billfleet.billing.account_rebilled.v1",
    created_at=BILLED_AT,
    sent_at=BILLED_AT,
)
BILLED = History(
    account=ACCOUNT,
    customer=None,
    owed_minor={"USD": 2985},
    bills=(BILL,),
    entries=(CHARGE,),
    events=(EVENT,),
)


def history(**changes: object) -> History:
    account = replace(ACCOUNT, **changes)  # type: ignore[arg-type]  # the tests name the fields
    return History(account=account, customer=None, owed_minor={})


def explained(found: History, as_of: date | None = None) -> Explanation:
    return explain(found, now=NOW, as_of=as_of, catch_up_periods_max=12)


def billed_story(**changes: object) -> str:
    found = replace(BILLED, **changes)  # type: ignore[arg-type]  # the tests name the fields
    return said(explained(found).periods[0])


def said(story: PeriodStory) -> str:
    return " ".join(story.sentences)


def test_a_billed_period_names_its_due_moment_message_transfer_and_event() -> None:
    story = explained(BILLED).periods[0]
    assert (story.verdict, story.message_id, story.transfer_id) == ("billed", "message-1", 7)
    assert story.due_at == datetime(2026, 1, 31, 5, tzinfo=UTC)
    words = said(story)
    assert "fell due at midnight in America/New_York, 2026-01-31 05:00 UTC" in words
    assert "29.85 USD was billed on 2026-01-31 06:00 UTC by message message-1" in words
    assert "Event account_rebilled was sent on 2026-01-31 06:00 UTC (id event-1)" in words
    assert words.count("transfer 7") == 1


def test_a_paid_period_names_the_attempt_its_answer_and_the_payment() -> None:
    paid = replace(BILL, state="paid", paid_at=BILLED_AT, next_attempt_at=None)
    words = billed_story(bills=(paid,), entries=(CHARGE, PAYMENT), attempts=(ATTEMPT,))
    assert "Attempt 1 at 2026-01-31 06:00 UTC: the gateway (log) took the payment" in words
    assert "reference ref-9" in words
    assert "The payment of 29.85 USD was entered on 2026-01-31 06:00 UTC (transfer 8)" in words
    assert "It was paid on 2026-01-31 06:00 UTC." in words


def test_an_unpaid_bill_says_when_it_is_collected() -> None:
    assert "It is unpaid; collecting is due on 2026-01-31 07:00 UTC." in billed_story()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"state": "declined", "decline_code": "do_not_honor"}, "declined for now (do_not_honor)"),
        (
            {"state": "declined", "decline_kind": "hard", "decline_code": "lost_card"},
            "declined for good (lost_card)",
        ),
        ({"state": "not_sent", "error": "connection refused"}, "never reached the gateway (log)"),
        ({"state": "prepared", "leased_until": NOW}, "another takes it up after 2026-03-02 12:00"),
        (
            {"state": "unknown", "next_check_at": NOW, "checks_made": 2},
            "asked 2 times since, next on 2026-03-02 12:00 UTC. Nothing new is tried",
        ),
        ({"state": "unknown"}, "A person has to look it up there"),
    ],
)
def test_each_answer_of_the_gateway_has_its_own_words(
    changes: dict[str, object], expected: str
) -> None:
    """R23, R24, R34: an unknown outcome blocks new attempts, a hard decline ends them."""
    attempt = replace(ATTEMPT, **changes)  # type: ignore[arg-type]  # the cases name the fields
    assert expected in billed_story(attempts=(attempt,))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"next_attempt_at": None, "collection_note": "below_minimum"}, "stays due, not failed"),
        ({"next_attempt_at": None, "collection_note": "exhausted"}, "dunning policy"),
        ({"next_attempt_at": None, "collection_note": "refused_request"}, "took no money"),
        ({"collection_note": "hard_decline"}, "inactive on 2026-01-31 07:00 UTC"),
        ({"state": "paid", "amount_minor": 0}, "nothing to collect: the amount is zero"),
        ({"state": "void"}, "voided"),
        ({"state": "uncollectible"}, "given up"),
    ],
)
def test_each_standing_of_a_bill_has_its_own_words(
    changes: dict[str, object], expected: str
) -> None:
    """R18, R19, R34: below the minimum is no failure, zero needs none, a hard one ends."""
    bill = replace(BILL, **changes)  # type: ignore[arg-type]  # the cases name the fields
    assert expected in billed_story(bills=(bill,))


def test_corrections_are_told_with_their_reason() -> None:
    """R31: history is kept, and told."""
    reversal = replace(CHARGE, transfer_id=9, kind="reversal", reverses=8, reason="fraud")
    words = billed_story(entries=(CHARGE, PAYMENT, reversal))
    assert "29.85 USD of transfer 8 was posted in reverse" in words
    assert "(transfer 9): fraud" in words


def test_a_refusal_before_the_bill_is_told_too() -> None:
    refusal = Refusal("A-1", JANUARY, "parked", "message-0", BILLED_AT)
    words = billed_story(refusals=(refusal,))
    assert (
        "refused to bill it on 2026-01-31 06:00 UTC (message message-0): the account was" in words
    )


def test_unsent_and_pruned_events_are_told_apart() -> None:
    waiting = replace(EVENT, sent_at=None)
    assert "waits in the outbox since 2026-01-31 06:00 UTC" in billed_story(events=(waiting,))
    assert "no longer in the outbox" in billed_story(events=())


def test_due_periods_wait_for_a_sweep_and_the_next_one_ahead_for_its_midnight() -> None:
    """R6: not before local midnight."""
    due, ahead = explained(history()).periods
    assert (due.period_start, due.period_end) == (date(2026, 2, 28), date(2026, 3, 30))
    assert due.verdict == "waiting_for_sweep"
    assert "can't be seen in the database" in said(due)
    assert (ahead.period_start, ahead.verdict) == (date(2026, 3, 31), "not_due")
    assert "2026-03-31 04:00 UTC" in said(ahead)


def test_today_is_the_day_in_the_zone_of_the_account() -> None:
    """R5: the same moment is due in Auckland and not yet in Honolulu."""
    moment = datetime(2026, 2, 27, 12, tzinfo=UTC)
    verdicts = [
        explain(history(time_zone=zone), now=moment, catch_up_periods_max=12).periods[0].verdict
        for zone in ("Pacific/Auckland", "Pacific/Honolulu")
    ]
    assert verdicts == ["waiting_for_sweep", "not_due"]


def test_a_day_that_is_given_replaces_today() -> None:
    periods = explained(history(), as_of=date(2026, 5, 1)).periods
    assert [story.period_start for story in periods] == [
        date(2026, 2, 28),
        date(2026, 3, 31),
        date(2026, 4, 30),
        date(2026, 5, 31),
    ]
    assert [story.verdict for story in periods][-2:] == ["waiting_for_sweep", "not_due"]


def test_missed_periods_beyond_the_cap_wait_for_a_later_sweep() -> None:
    """R7: catch-up is capped and the rest stays due."""
    found = history(rebilling_date=date(2025, 1, 31))
    verdicts = [story.verdict for story in explained(found).periods]
    assert verdicts == (["waiting_for_sweep"] * 12 + ["waiting_for_later_sweep"] * 2 + ["not_due"])


def test_a_parked_account_says_since_when_why_and_what_to_do() -> None:
    """R12: unparking is explicit."""
    found = history(parked_at=BILLED_AT, parked_reason="too_many_charges: 15")
    explanation = explained(found)
    assert explanation.periods[0].verdict == "parked"
    words = said(explanation.periods[0])
    assert "parked since 2026-01-31 06:00 UTC: too_many_charges: 15" in words
    assert "billfleet accounts unpark A-1 --tenant acme" in words
    assert explanation.periods[-1].verdict == "not_due"


def test_an_inactive_account_is_not_billed_and_says_so() -> None:
    due = explained(history(state="INACTIVE")).periods[0]
    assert due.verdict == "inactive"
    assert "INACTIVE" in said(due)


def test_a_period_left_out_while_inactive_has_its_place_and_its_reason() -> None:
    refusal = Refusal("A-1", date(2026, 2, 28), "inactive_time", "message-5", BILLED_AT)
    account = replace(BILLED.account, rebilling_date=date(2026, 3, 31))
    periods = explained(replace(BILLED, account=account, refusals=(refusal,))).periods
    assert [one.verdict for one in periods][:2] == ["billed", "left_out"]
    assert periods[1].period_start == date(2026, 2, 28)
    assert "it went by while the account was inactive" in said(periods[1])


def test_a_refused_period_names_the_refusal() -> None:
    """R13: beyond the horizon."""
    refusal = Refusal("A-1", date(2026, 2, 28), "beyond_horizon", "message-5", BILLED_AT)
    found = replace(history(), refusals=(refusal,))
    assert "further ahead than a right clock" in said(explained(found).periods[0])


def test_standing_tells_price_zone_debt_and_credit() -> None:
    standing = " ".join(explained(BILLED).standing)
    assert "29.85 USD every month, on day 31 of the month in America/New_York" in standing
    assert "It owes 29.85 USD." in standing
    credit = " ".join(explained(replace(BILLED, owed_minor={"USD": -100})).standing)
    assert "It has a credit of 1.00 USD." in credit


def test_an_unknown_zone_is_told_and_not_raised() -> None:
    found = replace(BILLED, account=replace(ACCOUNT, time_zone="Mars/Olympus"))
    story = explained(found).periods[0]
    assert story.due_at is None
    assert "not a known time zone" in said(story)


def test_the_list_ends_where_the_calendar_ends() -> None:
    periods = explained(history(rebilling_date=date(9999, 12, 31))).periods
    assert periods == ()
