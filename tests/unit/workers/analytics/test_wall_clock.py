"""Hours and days of a wall clock: 23, 24 and 25 of them, also where hours begin at half past."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfleet_workers.handlers.analytics.wall_clock import day_start, hours_of, place

HOUR = timedelta(hours=1)
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/Sao_Paulo",
)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Europe/Berlin", date(2026, 6, 1), 24),
        ("America/New_York", date(2026, 11, 1), 25),
        ("Asia/Kathmandu", date(2026, 3, 29), 24),
        ("Australia/Lord_Howe", date(2026, 10, 4), 24),  # half an hour is skipped
        ("Australia/Lord_Howe", date(2026, 4, 5), 25),  # half an hour is shown twice
        ("Pacific/Apia", date(2011, 12, 30), 0),  # the day that Samoa left out
        ("America/Sao_Paulo", date(2018, 11, 4), 23),  # midnight is skipped
    ],
)
def test_a_day_has_the_hours_that_its_clock_shows(zone: str, day: date, hours: int) -> None:
    """R75"""
    assert len(hours_of(day, zone)) == hours


def test_the_hour_that_a_clock_shows_twice_is_two_hours() -> None:
    """R75"""
    zone = ZoneInfo("Europe/Berlin")
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert [place(first + n * HOUR, zone)[0] for n in (0, 1)] == [
        datetime(2026, 10, 25, 0, tzinfo=UTC),
        datetime(2026, 10, 25, 1, tzinfo=UTC),
    ]


def test_hours_begin_at_half_past_or_quarter_to_where_the_zone_does() -> None:
    """R75"""
    at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    assert place(at, ZoneInfo("Asia/Kolkata"))[0] == datetime(2026, 3, 1, 11, 30, tzinfo=UTC)
    assert place(at, ZoneInfo("Asia/Kathmandu"))[0] == datetime(2026, 3, 1, 11, 15, tzinfo=UTC)
    late = datetime(2026, 3, 1, 18, 20, tzinfo=UTC)
    assert place(late, ZoneInfo("Asia/Kathmandu"))[1] == date(2026, 3, 2)


@given(
    at=st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - aware through timezones
    name=st.sampled_from(ZONES),
)
def test_every_instant_lies_in_one_hour_of_one_day(at: datetime, name: str) -> None:
    """R75: hours and days cover time without gap or overlap."""
    start, day = place(at, ZoneInfo(name))
    assert start <= at < start + HOUR
    assert place(start, ZoneInfo(name))[0] == start or name == "Australia/Lord_Howe"
    assert day_start(day, name) <= at < day_start(day + timedelta(days=1), name)
    assert start in hours_of(day, name)
