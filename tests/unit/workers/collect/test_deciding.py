"""Deciding about a bill and judging an answer: pure, in every combination."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfleet_contracts import ChargeRef
from billfleet_db.accounts import Account, AccountState
from billfleet_db.attempts import Attempt, AttemptState
from billfleet_db.bills import Bill, BillState
from billfleet_db.collection import Standing
from billfleet_workers.handlers.collect import decide as decisions
from billfleet_workers.handlers.collect.decide import Terms, decide
from billfleet_workers.handlers.collect.judge import Authority, Heard, judge
from billfleet_workers.handlers.collect.policy import (
    CollectPolicy,
    DunningPolicyInvalid,
    DunningRules,
    dunning_policy,
)
from billfleet_workers.handlers.collect.queue_of_bills import BillQueue
from billfleet_workers.handlers.collect.resuming import resumptions
from billfleet_workers.handlers.collect.situation import Situation, standing
from billfleet_workers.runtime.ports.payments import (
    Busy,
    Declined,
    GatewayAnswer,
    NotSent,
    Succeeded,
    Unknown,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PERIOD = date(2026, 3, 1)
TERMS = Terms(NOW, CollectPolicy(), "memory")
RULES = DunningRules()
REF = ChargeRef(account_id="a1", period_start=PERIOD, attempt_no=1)

BILL = Bill(
    tenant_id="acme",
    account_id="a1",
    period_start=PERIOD,
    period_end=date(2026, 3, 31),
    amount_minor=2985,
    currency="USD",
    charge_transfer_id=1,
    state="open",
    attempts_made=0,
    next_attempt_at=NOW,
    first_failed_at=None,
    collection_note=None,
    paid_at=None,
    created_at=NOW,
)
ACCOUNT = Account(
    tenant_id="acme",
    account_id="a1",
    customer_id="c1",
    plan_id=None,
    amount_minor=2985,
    currency="USD",
    interval_months=1,
    commitment_months=1,
    anchor_day=1,
    time_zone="UTC",
    rebilling_date=date(2026, 4, 1),
    state="ACTIVE",
    generation=0,
    parked_at=None,
    parked_reason=None,
    past_due_since=None,
    payment_method="pm",
    payment_method_version=1,
)
ATTEMPT = Attempt(
    tenant_id="acme",
    account_id="a1",
    period_start=PERIOD,
    attempt_no=1,
    attempt_key="acme:a1:2026-03-01:1",
    gateway="memory",
    request_body="{}",
    amount_minor=2985,
    currency="USD",
    state="prepared",
    gateway_reference=None,
    decline_code=None,
    decline_kind=None,
    error=None,
    leased_until=NOW - timedelta(seconds=1),
    lease_token="t1",
    checks_made=0,
    next_check_at=None,
    work_id="w1",
    created_at=NOW - timedelta(minutes=4),
    concluded_at=None,
)


def situation(*attempts: Attempt, bill: Bill = BILL, account: Account = ACCOUNT) -> Situation:
    return Situation(account, (bill,), attempts)


def decided(found: Situation, objection: str | None = None) -> decisions.Decision:
    return decide(REF, found, RULES, objection, TERMS)


@pytest.mark.parametrize(
    ("age", "ask_first"),
    [(timedelta(hours=22, minutes=59), False), (timedelta(hours=23), True)],
)
def test_key_is_trusted_for_twenty_three_hours(age: timedelta, ask_first: bool) -> None:
    """R22"""
    attempt = replace(ATTEMPT, created_at=NOW - age)
    decision = decided(situation(attempt))
    assert decision == decisions.Resolve(attempt, ask_first=ask_first, may_charge=True)


def test_unknown_outcome_is_always_asked_for_first() -> None:
    """R23, R24"""
    attempt = replace(ATTEMPT, state="unknown", next_check_at=NOW)
    decision = decided(situation(attempt))
    assert decision == decisions.Resolve(attempt, ask_first=True, may_charge=True)


def test_bill_paid_otherwise_is_only_asked_about_even_while_its_key_is_trusted() -> None:
    """R28"""
    found = situation(ATTEMPT, bill=replace(BILL, state="paid"))
    assert decided(found) == decisions.Resolve(ATTEMPT, ask_first=True, may_charge=False)


def test_leased_attempt_is_left_to_whoever_holds_it() -> None:
    """R20"""
    until = NOW + timedelta(seconds=1)
    assert decided(situation(replace(ATTEMPT, leased_until=until))) == decisions.Busy(until)


def test_attempt_of_another_gateway_is_never_sent_to_this_one() -> None:
    """R21"""
    attempt = replace(ATTEMPT, gateway="stripe")
    assert decided(situation(attempt)) == decisions.Settled("other_gateway")


def test_attempt_that_never_left_is_sent_again_under_its_own_key() -> None:
    """R25"""
    attempt = replace(ATTEMPT, state="not_sent", leased_until=None)
    assert decided(situation(attempt)) == decisions.Resend(attempt)


def test_declined_key_is_never_used_again() -> None:
    """R26, R43"""
    bill = replace(BILL, attempts_made=1)
    declined = replace(ATTEMPT, state="declined")
    ref = REF.model_copy(update={"attempt_no": 2})
    decision = decide(ref, situation(declined, bill=bill), RULES, None, TERMS)
    assert decision == decisions.NewAttempt(2)


@pytest.mark.parametrize("state", ["paid", "void", "uncollectible"])
def test_only_open_bills_are_collected(state: BillState) -> None:
    """R28"""
    found = situation(bill=replace(BILL, state=state))
    assert decided(found) == decisions.Settled(f"already_{state}")


def test_objection_of_the_gateway_leaves_the_bill_due() -> None:
    """R18"""
    assert decided(situation(), "below_minimum") == decisions.Refuse("below_minimum")


def test_zero_is_never_an_objection() -> None:
    """R19"""
    found = situation(bill=replace(BILL, amount_minor=0))
    assert decided(found, "below_minimum") == decisions.Waive()


STATES: list[AttemptState] = ["prepared", "unknown", "not_sent", "succeeded", "declined"]
ANSWERS: list[GatewayAnswer] = [
    Succeeded("r"),
    Declined("insufficient_funds", "soft"),
    Declined("stolen_card", "hard"),
    Unknown("timeout"),
    NotSent("refused"),
    Busy("429", 1.0),
]
AUTHORITIES: list[Authority] = ["call", "truth", "person"]


@pytest.mark.parametrize(("state", "answer"), list(product(STATES, ANSWERS)))
def test_conclusions_are_final_unless_money_moved_or_the_gateway_was_asked(
    state: AttemptState, answer: GatewayAnswer
) -> None:
    """R24, R30, R31: only these may change what is concluded."""
    attempt = replace(ATTEMPT, state=state)
    bill = replace(BILL, state="paid" if state == "succeeded" else "open")
    for authority in AUTHORITIES:
        heard = Heard(answer, authority, lease_token="t1")
        judged = judge(attempt, situation(attempt, bill=bill), heard, RULES, TERMS)
        after = judged.attempt.state if judged.attempt else state
        if state == "succeeded" and authority != "truth":
            assert after == "succeeded"
        if state == "declined" and (authority == "person" or not isinstance(answer, Succeeded)):
            assert after == "declined"
        assert (judged.ledger == "pay") == (after == "succeeded" and state != "succeeded")
        assert (judged.ledger == "take_back") == (after != "succeeded" and state == "succeeded")


@pytest.mark.parametrize("answer", [Unknown("x"), NotSent("x"), Busy("x", 1.0)])
def test_worker_that_lost_its_lease_records_no_doubt(answer: GatewayAnswer) -> None:
    """R20: what it does not know, whoever holds the lease will find out."""
    heard = Heard(answer, lease_token="another")
    assert judge(ATTEMPT, situation(ATTEMPT), heard, RULES, TERMS).attempt is None


@pytest.mark.parametrize("state", ["prepared", "unknown"])
def test_busy_attempt_keeps_its_state_and_is_nobodys_until_the_gateway_is_ready(
    state: AttemptState,
) -> None:
    """R27: an end of the lease is also what the sweep finds a prepared attempt by."""
    attempt = replace(ATTEMPT, state=state, next_check_at=NOW, checks_made=2)
    heard = Heard(Busy("429", 9.0), lease_token="t1")
    judged = judge(attempt, situation(attempt), heard, RULES, TERMS)
    assert judged.attempt is not None
    assert (judged.attempt.state, judged.attempt.checks_made) == (state, 2)
    assert judged.attempt.leased_until == NOW + timedelta(seconds=9)
    assert judged.again_in_s == 9.0


def test_worker_that_lost_its_lease_still_records_what_it_knows() -> None:
    """R29"""
    heard = Heard(Succeeded("r"), lease_token="another")
    judged = judge(ATTEMPT, situation(ATTEMPT), heard, RULES, TERMS)
    assert (judged.note, judged.ledger) == ("paid", "pay")


@pytest.mark.parametrize("answer", [Busy("429", 1.0), NotSent("refused"), Unknown("timeout")])
def test_nothing_but_a_decline_is_a_dunning_failure(answer: GatewayAnswer) -> None:
    """R25, R27"""
    judged = judge(ATTEMPT, situation(ATTEMPT), Heard(answer, lease_token="t1"), RULES, TERMS)
    bill = judged.bill
    assert bill is None or (bill.attempts_made, bill.first_failed_at) == (0, None)


@given(
    offsets=st.lists(st.integers(1, 60), min_size=1, max_size=6, unique=True).map(sorted),
    late_hours=st.lists(st.integers(0, 200), min_size=6, max_size=6),
)
def test_retries_keep_to_the_first_failure_and_never_come_in_a_burst(
    offsets: list[int], late_hours: list[int]
) -> None:
    """R33"""
    rules = DunningRules(offsets_days=tuple(offsets))
    now = NOW
    for made, (offset, late) in enumerate(zip(offsets, late_hours, strict=False), start=1):
        due = rules.next_attempt_at(NOW, made, now)
        assert due is not None
        scheduled = NOW + timedelta(days=offset)
        gap = timedelta(hours=rules.gap_hours_min)
        assert due == max(scheduled, now + gap)
        now = due + timedelta(hours=late)
    assert rules.next_attempt_at(NOW, len(offsets) + 1, now) is None


@pytest.mark.parametrize(
    ("state", "since", "owing", "is_unknown", "after"),
    [
        ("ACTIVE", None, False, False, "ACTIVE"),
        ("ACTIVE", None, True, False, "PAST_DUE"),
        ("ACTIVE", None, True, True, "PENDING"),
        ("PENDING", None, False, False, "ACTIVE"),
        ("PENDING", NOW, True, False, "PAST_DUE"),
        ("PAST_DUE", NOW, False, False, "ACTIVE"),
        ("INACTIVE", NOW, True, False, "INACTIVE"),
        ("INACTIVE", NOW, False, True, "INACTIVE"),
        ("INACTIVE", NOW, False, False, "ACTIVE"),
        ("INACTIVE", None, False, False, "INACTIVE"),
        ("INACTIVE", None, True, False, "INACTIVE"),
    ],
)
def test_account_state_follows_from_its_bills(
    state: AccountState, since: datetime | None, owing: bool, is_unknown: bool, after: AccountState
) -> None:
    """R32: and INACTIVE never becomes PAST_DUE or PENDING, which the database would refuse."""
    bill = replace(BILL, first_failed_at=NOW if owing else None)
    account = replace(ACCOUNT, state=state, past_due_since=since)
    found = standing(situation(bill=bill, account=account), is_unknown=is_unknown)
    assert found.state == after


@pytest.mark.parametrize(
    "written",
    [
        {"offsets_days": [3, 3]},
        {"offsets_days": [0]},
        {"offsets": [1]},
        {"offsets_days": "1,3,7"},
        {"by_currency": {"JPY": {"offsets_days": [7, 1]}}},
        {"declines_per_30_days_max": 0},
    ],
)
def test_policy_that_means_nothing_is_refused_with_its_place(written: dict[str, object]) -> None:
    """R36"""
    with pytest.raises(DunningPolicyInvalid, match=r"tenant acme is not valid: \w+"):
        dunning_policy("acme", written)


def test_empty_policy_is_that_of_the_house() -> None:
    """R33"""
    policy = dunning_policy("acme", {})
    assert policy.rules_for("USD").offsets_days == (1, 3, 7)
    assert policy.declines_per_30_days_max == 15


def test_bills_of_an_account_come_one_by_one_and_others_beside_them() -> None:
    refs = [ChargeRef(account_id=name, period_start=date(2026, month, 1), attempt_no=1)
            for name in ("b", "a") for month in (3, 1, 2)]  # fmt: skip
    queue = BillQueue(refs)
    months: list[set[tuple[str, int]]] = []
    while heads := queue.heads(10):
        months.append({(ref.account_id, ref.period_start.month) for ref in heads})
        for ref in heads:
            queue.done(ref, "paid")
    assert months == [{("a", month), ("b", month)} for month in (1, 2, 3)]


def test_account_that_is_stopped_leaves_the_rest_for_later() -> None:
    refs = [ChargeRef(account_id="a", period_start=date(2026, month, 1), attempt_no=1)
            for month in (1, 2, 3)]  # fmt: skip
    queue = BillQueue(refs)
    queue.stop(queue.heads(1)[0], "busy", 3.0)
    assert not queue.heads(1)
    assert (dict(queue.tally), queue.again_in_s) == ({"busy": 1, "left_for_later": 2}, 3.0)


@pytest.mark.parametrize(
    ("zone", "before", "after", "due", "left_out"),
    [
        ("UTC", "INACTIVE", "ACTIVE", date(2026, 1, 1), [date(2026, 1, 1), date(2026, 2, 1)]),
        ("UTC", "INACTIVE", "ACTIVE", date(2026, 3, 1), None),
        ("UTC", "INACTIVE", "ACTIVE", date(2026, 4, 1), None),
        ("UTC", "INACTIVE", "INACTIVE", date(2026, 1, 1), None),
        ("UTC", "PAST_DUE", "ACTIVE", date(2026, 1, 1), None),
        ("Mars/Olympus", "INACTIVE", "ACTIVE", date(2026, 1, 1), None),
    ],
)
def test_only_whole_periods_of_inactive_time_are_left_out(
    zone: str,
    before: AccountState,
    after: AccountState,
    due: date,
    left_out: list[date] | None,
) -> None:
    account = replace(ACCOUNT, time_zone=zone, state=before, rebilling_date=due)
    standings = [Standing("a1", after, None)] * 2
    found = resumptions({"a1": account}, standings, NOW)
    assert [list(one.left_out) for one in found] == ([] if left_out is None else [left_out])
    assert all(one.rebilling_date == date(2026, 3, 1) for one in found)
