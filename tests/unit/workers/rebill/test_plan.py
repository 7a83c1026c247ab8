"""What becomes of each period of a message."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfleet_contracts import INTEGER_MAX, AccountPeriod
from billfleet_db.accounts import Account
from billfleet_workers.dates import periods_due
from billfleet_workers.handlers.rebill.plan import (
    Charge,
    Outcome,
    Park,
    RebillLimits,
    Skip,
    Terms,
    plan_rebill,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TODAY = NOW.date()
LIMITS = RebillLimits(catch_up_periods_max=12, charges_per_day_max=3, horizon_days=35)
ACCOUNT = Account(
    tenant_id="acme",
    account_id="a1",
    customer_id="c1",
    plan_id=None,
    amount_minor=2985,
    currency="USD",
    interval_months=1,
    commitment_months=1,
    anchor_day=31,
    time_zone="UTC",
    rebilling_date=date(2026, 1, 31),
    state="ACTIVE",
    generation=0,
    parked_at=None,
    parked_reason=None,
    past_due_since=None,
    payment_method=None,
    payment_method_version=1,
)
JANUARY, FEBRUARY, MARCH = date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31)


def plan(
    *periods: date,
    account: Account | None = ACCOUNT,
    charged: int = 0,
    as_of: date = TODAY,
    now: datetime = NOW,
) -> list[Outcome]:
    items = [AccountPeriod(account_id="a1", period_start=start) for start in periods]
    known = {} if account is None else {"a1": account}
    return plan_rebill(known, items, {"a1": charged}, Terms(as_of, now, LIMITS))


def charge(start: date, following: date, amount_minor: int = 2985) -> Charge:
    return Charge("a1", start, following - timedelta(days=1), following, amount_minor, "USD")


def test_a_due_period_is_charged_and_the_next_date_comes_from_the_anchor() -> None:
    """R1, R4."""
    assert plan(JANUARY) == [charge(JANUARY, FEBRUARY)]


def test_missed_periods_are_charged_oldest_first_whatever_order_they_come_in() -> None:
    """R7."""
    assert plan(FEBRUARY, JANUARY) == [charge(JANUARY, FEBRUARY), charge(FEBRUARY, MARCH)]


def test_the_price_is_the_accounts_at_the_moment_of_processing() -> None:
    """R10: the message carries the account and the period, never an amount."""
    dearer = replace(ACCOUNT, amount_minor=9900)
    assert plan(JANUARY, account=dearer) == [charge(JANUARY, FEBRUARY, 9900)]


def test_a_period_that_the_account_has_passed_is_a_stale_message() -> None:
    """R11: no charge, also where the account is parked by now."""
    passed = replace(ACCOUNT, rebilling_date=FEBRUARY)
    parked = replace(passed, parked_at=NOW, parked_reason="x")
    assert plan(JANUARY, account=passed) == [Skip("a1", JANUARY, "stale_period")]
    assert plan(JANUARY, account=parked) == [Skip("a1", JANUARY, "stale_period")]


def test_the_same_period_twice_in_a_message_is_charged_once() -> None:
    """R11."""
    assert plan(JANUARY, JANUARY) == [
        charge(JANUARY, FEBRUARY),
        Skip("a1", JANUARY, "stale_period"),
    ]


def test_a_period_whose_predecessor_is_not_billed_waits() -> None:
    """R7: the account stays due, nothing is billed out of order."""
    assert plan(FEBRUARY) == [Skip("a1", FEBRUARY, "earlier_period_first")]


def test_more_charges_a_day_than_allowed_park_the_account() -> None:
    """R12: up to the limit it is charged, then it is parked and the rest waits."""
    assert plan(JANUARY, FEBRUARY, charged=2, as_of=FEBRUARY) == [
        charge(JANUARY, FEBRUARY),
        Park("a1", FEBRUARY, "too_many_charges", "3 charges today"),
    ]
    assert plan(JANUARY, FEBRUARY, charged=3) == [
        Park("a1", JANUARY, "too_many_charges", "3 charges today"),
        Skip("a1", FEBRUARY, "parked"),
    ]


def test_a_period_beyond_the_horizon_is_refused() -> None:
    """R13: the last day inside the horizon is billed, the day after is not."""
    inside = TODAY + timedelta(days=35)
    outside = inside + timedelta(days=1)
    account = replace(ACCOUNT, anchor_day=5, rebilling_date=inside)
    assert isinstance(plan(inside, account=account, as_of=inside)[0], Charge)
    account = replace(account, rebilling_date=outside)
    assert plan(outside, account=account, as_of=outside) == [Skip("a1", outside, "beyond_horizon")]


def test_the_horizon_is_counted_from_the_accounts_own_day() -> None:
    """R5, R13: in Kiritimati it is tomorrow already."""
    start = TODAY + timedelta(days=36)
    account = replace(ACCOUNT, rebilling_date=start, time_zone="Pacific/Kiritimati")
    assert isinstance(plan(start, account=account, as_of=start)[0], Charge)


def test_a_period_after_the_messages_own_date_is_not_due() -> None:
    """R6."""
    assert plan(JANUARY, as_of=date(2026, 1, 30)) == [Skip("a1", JANUARY, "not_due")]


def test_a_free_period_is_charged_with_zero() -> None:
    """R19: the ledger row is written and the date advances."""
    free = replace(ACCOUNT, amount_minor=0)
    assert plan(JANUARY, account=free) == [charge(JANUARY, FEBRUARY, 0)]


def test_parked_inactive_and_unknown_accounts_are_not_billed() -> None:
    parked = replace(ACCOUNT, parked_at=NOW, parked_reason="looked odd")
    inactive = replace(ACCOUNT, state="INACTIVE")
    assert plan(JANUARY, account=parked) == [Skip("a1", JANUARY, "parked")]
    assert plan(JANUARY, account=inactive) == [Skip("a1", JANUARY, "inactive")]
    assert plan(JANUARY, account=None) == [Skip("a1", JANUARY, "unknown_account")]


@pytest.mark.parametrize("state", ["PENDING", "PAST_DUE"])
def test_an_account_with_a_payment_open_is_billed_on(state: str) -> None:
    account = replace(ACCOUNT, state="PENDING" if state == "PENDING" else "PAST_DUE")
    assert plan(JANUARY, account=account) == [charge(JANUARY, FEBRUARY)]


@pytest.mark.parametrize(
    ("sick", "reason"),
    [
        (replace(ACCOUNT, time_zone="Mars/Base"), "unknown_time_zone"),
        (replace(ACCOUNT, currency="QQQ"), "unknown_currency"),
        (replace(ACCOUNT, amount_minor=INTEGER_MAX + 1), "amount_too_large"),
    ],
)
def test_an_account_that_cannot_be_billed_is_parked_and_says_why(
    sick: Account, reason: str
) -> None:
    """R12."""
    [parked, skipped] = plan(JANUARY, FEBRUARY, account=sick)
    assert isinstance(parked, Park)
    assert parked.reason == reason
    assert parked.explanation.startswith(f"{reason}: ")
    assert skipped == Skip("a1", FEBRUARY, "parked")


def test_a_date_at_the_end_of_the_calendar_parks_the_account() -> None:
    account = replace(ACCOUNT, rebilling_date=date(9999, 12, 31))
    [parked] = plan(date(9999, 12, 31), account=account, as_of=date(9999, 12, 31))
    assert isinstance(parked, Park)
    assert parked.reason == "date_out_of_range"


def test_a_sick_account_does_not_touch_its_neighbours() -> None:
    """R12."""
    accounts = {
        "a1": ACCOUNT,
        "a2": replace(ACCOUNT, account_id="a2", time_zone="Mars/Base"),
        "a3": replace(ACCOUNT, account_id="a3"),
    }
    items = [AccountPeriod(account_id=name, period_start=JANUARY) for name in accounts]
    outcomes = plan_rebill(accounts, items, {}, Terms(TODAY, NOW, LIMITS))
    assert [type(outcome) for outcome in outcomes] == [Charge, Park, Charge]


@given(
    anchor_day=st.integers(1, 31),
    interval_months=st.integers(1, 12),
    start=st.dates(date(2020, 1, 1), TODAY),
    periods=st.lists(st.integers(0, 80), max_size=30),
    charged=st.integers(0, 4),
)
def test_whatever_a_message_names_charges_are_a_gapless_run_from_the_rebilling_date(
    anchor_day: int, interval_months: int, start: date, periods: list[int], charged: int
) -> None:
    """R7, R11, R12, R13: any mixture of stale, repeated, early and unordered periods."""
    account = replace(
        ACCOUNT, anchor_day=anchor_day, interval_months=interval_months, rebilling_date=start
    )
    schedule = list(periods_due(start, anchor_day, interval_months, date(2040, 1, 1)))
    named = [schedule[place % len(schedule)] for place in periods]
    outcomes = plan(*named, account=account, charged=charged, as_of=date(2040, 1, 1))
    starts = [outcome.period_start for outcome in outcomes if isinstance(outcome, Charge)]
    assert starts == schedule[: len(starts)]
    assert len(starts) + charged <= max(LIMITS.charges_per_day_max, charged)
    assert all(day <= TODAY + timedelta(days=LIMITS.horizon_days) for day in starts)
    assert len(outcomes) == len(named)
