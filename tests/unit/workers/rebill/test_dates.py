"""Billing dates from the anchor day and the account's zone."""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfleet_workers.dates import (
    DateOutOfRange,
    UnknownZone,
    is_due,
    latest_today,
    local_today,
    next_period,
    period_end,
    periods_due,
)

ZONES = [
    "Pacific/Niue",  # UTC-11
    "America/St_Johns",
    "America/Sao_Paulo",
    "UTC",
    "Europe/London",
    "Africa/Cairo",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Apia",
    "Pacific/Kiritimati",  # UTC+14
]
anchors = st.integers(1, 31)
starts = st.dates(date(1970, 1, 1), date(2100, 1, 1))


def walk(start: date, anchor_day: int, interval_months: int, steps: int) -> list[date]:
    dates = [start]
    for _ in range(steps):
        dates.append(next_period(dates[-1], anchor_day, interval_months))
    return dates


def months(day: date) -> int:
    return day.year * 12 + day.month


def test_month_end_is_clamped_and_comes_back_from_the_anchor() -> None:
    """R1."""
    assert walk(date(2025, 1, 31), 31, 1, 3) == [
        date(2025, 1, 31),
        date(2025, 2, 28),
        date(2025, 3, 31),
        date(2025, 4, 30),
    ]


@given(start=starts, anchor_day=anchors, steps=st.integers(1, 600))
def test_months_never_drift_however_many_pass(start: date, anchor_day: int, steps: int) -> None:
    """R1, R2: for every anchor and up to 600 months the day is min(anchor, last day)."""
    for step, day in enumerate(walk(start, anchor_day, 1, steps)[1:], start=1):
        assert months(day) == months(start) + step
        assert day.day == min(anchor_day, monthrange(day.year, day.month)[1])


@pytest.mark.parametrize("anchor_day", range(1, 32))
def test_no_short_month_is_skipped(anchor_day: int) -> None:
    """R3: every month of eight years has exactly one period."""
    dates = walk(date(2023, 12, min(anchor_day, 31)), anchor_day, 1, 96)
    assert [months(day) for day in dates] == list(range(months(dates[0]), months(dates[0]) + 97))


@given(start=starts, anchor_day=anchors, interval_months=st.integers(1, 120))
def test_a_period_ends_the_day_before_the_next_begins(
    start: date, anchor_day: int, interval_months: int
) -> None:
    """R4: no gap and no overlap for any interval."""
    end = period_end(start, anchor_day, interval_months)
    assert end + timedelta(days=1) == next_period(start, anchor_day, interval_months)
    assert end >= start


def test_anchor_30_passes_february() -> None:
    """R4: a leap year and a common one."""
    assert walk(date(2024, 1, 30), 30, 1, 2) == [
        date(2024, 1, 30),
        date(2024, 2, 29),
        date(2024, 3, 30),
    ]
    assert period_end(date(2024, 2, 29), 30, 1) == date(2024, 3, 29)
    assert period_end(date(2025, 1, 30), 30, 1) == date(2025, 2, 27)


def test_quarters_on_the_31st() -> None:
    """R4: quarterly on 31."""
    assert walk(date(2024, 11, 30), 31, 3, 4) == [
        date(2024, 11, 30),
        date(2025, 2, 28),
        date(2025, 5, 31),
        date(2025, 8, 31),
        date(2025, 11, 30),
    ]


def test_yearly_on_29_february_returns_in_leap_years() -> None:
    """R4: yearly on 29 Feb."""
    assert walk(date(2024, 2, 29), 29, 12, 4) == [
        date(2024, 2, 29),
        date(2025, 2, 28),
        date(2026, 2, 28),
        date(2027, 2, 28),
        date(2028, 2, 29),
    ]


def test_a_period_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(DateOutOfRange, match="9999-12-01"):
        next_period(date(9999, 12, 1), 1, 1)


def test_missed_periods_come_oldest_first() -> None:
    """R7."""
    due = periods_due(date(2025, 1, 31), 31, 1, until=date(2025, 4, 29))
    assert list(due) == [date(2025, 1, 31), date(2025, 2, 28), date(2025, 3, 31)]


def test_a_period_is_due_on_its_rebilling_date_and_not_before() -> None:
    """R6."""
    on_the_day = periods_due(date(2025, 1, 31), 31, 1, until=date(2025, 1, 31))
    assert list(on_the_day) == [date(2025, 1, 31)]
    assert list(periods_due(date(2025, 1, 31), 31, 1, until=date(2025, 1, 30))) == []


@pytest.mark.parametrize("zone", ZONES)
def test_an_account_falls_due_at_its_own_midnight(zone: str) -> None:
    """R5, R6: one second before it is not due, at midnight it is, from UTC-11 to UTC+14."""
    for day in (date(2026, 1, 15), date(2026, 7, 15)):
        midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        assert not is_due(day, midnight - timedelta(seconds=1), zone)
        assert is_due(day, midnight, zone)


def test_the_zone_has_the_rules_of_the_moment_and_no_frozen_offset() -> None:
    """R5: 23:30 UTC is the next day in London in summer and not in winter."""
    assert local_today(datetime(2026, 7, 1, 23, 30, tzinfo=UTC), "Europe/London") == date(
        2026, 7, 2
    )
    assert local_today(datetime(2026, 1, 1, 23, 30, tzinfo=UTC), "Europe/London") == date(
        2026, 1, 1
    )


def test_a_day_whose_midnight_does_not_exist_begins_after_the_gap() -> None:
    """R6: in Cairo on 2026-04-24 clocks go from 00:00 to 01:00."""
    gap = datetime(2026, 4, 23, 22, 0, tzinfo=UTC)
    assert not is_due(date(2026, 4, 24), gap - timedelta(seconds=1), "Africa/Cairo")
    assert is_due(date(2026, 4, 24), gap, "Africa/Cairo")


def test_a_day_whose_midnight_comes_twice_begins_at_the_last_one() -> None:
    """R6: in Havana the hour after 00:00 of 2025-11-02 happens twice, and both are that day."""
    first = datetime(2025, 11, 2, 4, 0, tzinfo=UTC)
    assert not is_due(date(2025, 11, 2), first - timedelta(seconds=1), "America/Havana")
    for minutes in range(0, 180, 10):
        assert is_due(date(2025, 11, 2), first + timedelta(minutes=minutes), "America/Havana")


def test_a_day_that_a_zone_skipped_is_due_on_the_day_after() -> None:
    """R6: Apia went from 2011-12-29 straight to 2011-12-31."""
    jump = datetime(2011, 12, 30, 10, 0, tzinfo=UTC)
    assert not is_due(date(2011, 12, 30), jump - timedelta(seconds=1), "Pacific/Apia")
    assert is_due(date(2011, 12, 30), jump, "Pacific/Apia")
    assert local_today(jump, "Pacific/Apia") == date(2011, 12, 31)


@given(
    hours=st.integers(0, 50 * 365 * 24),
    zone=st.sampled_from(ZONES),
)
def test_no_zone_is_ahead_of_the_latest_day(hours: int, zone: str) -> None:
    """R6: the sweep that asks for the latest day misses no account."""
    now = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
    assert local_today(now, zone) <= latest_today(now)


def test_the_latest_day_is_reached_by_a_zone() -> None:
    now = datetime(2026, 1, 1, 10, 0, tzinfo=UTC)
    assert local_today(now, "Pacific/Kiritimati") == latest_today(now)


@pytest.mark.parametrize("zone", ["Mars/Base", "America", "../etc/passwd", "", "+05", "/UTC"])
def test_a_zone_that_is_none_is_named(zone: str) -> None:
    with pytest.raises(UnknownZone, match="IANA"):
        local_today(datetime(2026, 1, 1, tzinfo=UTC), zone)
