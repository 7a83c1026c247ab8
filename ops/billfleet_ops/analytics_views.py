"""How analytics looks on a terminal: a series with a sparkline, what it adds up to, comparisons.

`billfleet analytics` prints with it. Pure: values in, rows out.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from billfleet_ops.output import Cell
from billfleet_workers.money import format_minor

if TYPE_CHECKING:
    from billfleet_workers.main.analytics import Comparison, Shown

BLOCKS = "▁▂▃▄▅▆▇█"
DIFFERENCES_SHOWN_MAX = 5


def sparkline(values: Sequence[int]) -> str:
    """The values as blocks of eight heights; nothing is a space, so that it is seen."""
    highest = max(values, default=0)
    if highest <= 0:
        return " " * len(values)
    top = len(BLOCKS) - 1
    return "".join(BLOCKS[-(-value * top // highest)] if value > 0 else " " for value in values)


def series(shown: "Shown", time_zone: str) -> list[tuple[Cell, ...]]:
    """One row per point and currency: when, how often, how much, and a bar."""
    highest = max((figure.events for figure in shown.figures), default=0)
    merged: dict[tuple[date | datetime, str], list[int]] = {}
    for figure in shown.figures:
        total = merged.setdefault((figure.starts, figure.currency), [0, 0])
        total[0] += figure.events
        total[1] += figure.amount_minor
        highest = max(highest, total[0])
    return [
        (
            _when(starts, time_zone),
            events,
            format_minor(amount_minor, currency) if currency else None,
            "█" * max(1, events * 24 // highest),
        )
        for (starts, currency), (events, amount_minor) in sorted(
            merged.items(), key=lambda item: (str(item[0][0]), item[0][1])
        )
    ]


def totals(shown: "Shown") -> list[tuple[Cell, ...]]:
    """What all of it adds up to, by name and currency."""
    return [
        (
            one.name,
            one.events,
            one.customers,
            *(
                format_minor(minor, one.currency) if one.currency and minor is not None else None
                for minor in (one.amount_minor, one.median_minor, one.p95_minor)
            ),
        )
        for one in shown.activities
    ]


def line(shown: "Shown", first: date, last: date) -> str:
    """Counts per day as a sparkline."""
    by_day: dict[date | datetime, int] = {}
    for figure in shown.figures:
        by_day[figure.starts] = by_day.get(figure.starts, 0) + figure.events
    days = [date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)]
    return sparkline([by_day.get(day, 0) for day in days])


def document(shown: "Shown") -> dict[str, Any]:
    """The same for a program."""
    return {
        "as_of": shown.as_of,
        "series": [asdict(figure) for figure in shown.figures],
        "totals": [asdict(one) for one in shown.activities],
    }


def comparison(one: "Comparison") -> dict[str, Any]:
    """A comparison for a program, and the first differences."""
    return {
        "tenant": one.tenant_id,
        "buckets": one.buckets,
        "events": one.events,
        "is_equal": one.is_equal,
        "only_counted": [each.decode() for each in one.only_counted[:DIFFERENCES_SHOWN_MAX]],
        "only_raw": [each.decode() for each in one.only_raw[:DIFFERENCES_SHOWN_MAX]],
    }


def _when(starts: date | datetime, time_zone: str) -> str:
    if not isinstance(starts, datetime):
        return f"{starts:%a} {starts.isoformat()}"
    return f"{starts.astimezone(ZoneInfo(time_zone)):%Y-%m-%d %H:%M %z}"
