"""What `billfleet analytics` shows and understands."""

from datetime import date

import pytest

from billfleet_ops.analytics_views import sparkline
from billfleet_ops.errors import UsageWrong
from billfleet_ops.report_period import chosen


def test_a_sparkline_has_a_block_per_value_and_shows_nothing_as_nothing() -> None:
    assert sparkline([0, 1, 4, 8]) == " ▂▅█"
    assert sparkline([0, 0]) == "  "
    assert sparkline([]) == ""


def test_a_period_is_read_as_it_is_typed() -> None:
    assert chosen({"month": "2026-10", "week": None, "day": None}) == ("month", date(2026, 10, 1))
    assert chosen({"month": None, "week": "2026-10-07", "day": None}) == (
        "week",
        date(2026, 10, 7),
    )


@pytest.mark.parametrize(
    "given",
    [
        {"month": None, "week": None, "day": None},
        {"month": "2026-10", "week": None, "day": "2026-10-01"},
        {"month": "October", "week": None, "day": None},
        {"month": "2026-13", "week": None, "day": None},
    ],
)
def test_what_is_no_period_is_refused_with_what_to_type(given: dict[str, str | None]) -> None:
    with pytest.raises(UsageWrong) as refused:
        chosen(given)  # type: ignore[arg-type] # the keys are periods
    assert "2026-10" in refused.value.remedy
