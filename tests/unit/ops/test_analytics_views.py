"""What `billfleet analytics` shows and understands."""

from datetime import UTC, date, datetime

import pytest

from billfleet_contracts import ReportPeriod
from billfleet_ops.analytics_views import sparkline
from billfleet_ops.errors import UsageWrong
from billfleet_ops.report_period import chosen


def test_a_sparkline_has_a_block_per_value_and_shows_nothing_as_nothing() -> None:
    assert sparkline([0, 1, 4, 8]) == " ▂▅█"
    assert sparkline([0, 0]) == "  "
    assert sparkline([]) == ""


NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def kinds(*asked: ReportPeriod) -> dict[ReportPeriod, bool]:
    names: tuple[ReportPeriod, ...] = ("month", "week", "day")
    return {name: name in asked for name in names}


def test_a_period_is_read_as_it_is_typed() -> None:
    assert chosen(kinds("month"), "2026-10", NOW) == ("month", date(2026, 10, 1))
    assert chosen(kinds("week"), "2026-10-07", NOW) == ("week", date(2026, 10, 7))
    assert chosen(kinds(), "2026-09", NOW) == ("month", date(2026, 9, 1))


def test_without_a_day_it_is_the_last_period_that_is_over() -> None:
    assert chosen(kinds("month"), None, NOW) == ("month", date(2026, 10, 31))
    assert chosen(kinds("week"), None, NOW) == ("week", date(2026, 11, 13))
    assert chosen(kinds("day"), None, NOW) == ("day", date(2026, 11, 19))


def test_a_month_is_over_when_it_is_over_in_the_last_time_zone() -> None:
    first = datetime(2026, 12, 1, tzinfo=UTC)
    assert chosen(kinds(), None, first.replace(hour=11)) == ("month", date(2026, 10, 31))
    assert chosen(kinds(), None, first.replace(hour=12)) == ("month", date(2026, 11, 30))


@pytest.mark.parametrize(
    ("asked", "when"),
    [(("month", "day"), "2026-10-01"), (("month",), "October"), (("month",), "2026-13")],
)
def test_what_is_no_period_is_refused_with_what_to_type(
    asked: tuple[ReportPeriod, ...], when: str
) -> None:
    with pytest.raises(UsageWrong) as refused:
        chosen(kinds(*asked), when, NOW)
    assert "2026-10" in refused.value.remedy
