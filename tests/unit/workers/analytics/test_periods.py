"""Days, weeks and months of a report, and what they are called."""

from datetime import date

import pytest

from billfleet_contracts import ReportPeriod, ReportRequested
from billfleet_workers.handlers.reports import first_day_of, last_day_of, name_of, report_id_of
from billfleet_workers.handlers.reports.periods import before, months_before


@pytest.mark.parametrize(
    ("period", "first", "last", "previous", "name"),
    [
        ("day", "2026-03-01", "2026-03-01", "2026-02-28", "1 March 2026"),
        ("week", "2026-02-23", "2026-03-01", "2026-02-16", "week of 23 February 2026"),
        ("month", "2026-03-01", "2026-03-31", "2026-02-01", "March 2026"),
    ],
)
def test_a_period_has_its_ends_its_predecessor_and_its_name(
    period: ReportPeriod, first: str, last: str, previous: str, name: str
) -> None:
    day = date(2026, 3, 1)
    assert first_day_of(period, day) == date.fromisoformat(first)
    assert last_day_of(period, day) == date.fromisoformat(last)
    assert before(period, day) == date.fromisoformat(previous)
    assert name_of(period, day) == name


def test_months_are_counted_over_the_turn_of_the_year() -> None:
    assert months_before(date(2026, 2, 28), 11) == date(2025, 3, 1)
    assert months_before(date(2026, 12, 31), 12) == date(2025, 12, 1)


def test_the_same_request_has_the_same_id_and_another_another() -> None:
    asked = ReportRequested(period="month", first_day=date(2026, 3, 17))
    assert report_id_of(asked) == "business-month-2026-03-01"
    assert report_id_of(asked.model_copy(update={"request_no": 1})) != report_id_of(asked)
