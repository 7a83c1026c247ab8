"""Which report is meant: a day, a week or a month, as it is typed, or the last one that is over.

`billfleet analytics report` reads its options with it. Pure; the calendar is the worker's.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta

from billfleet_contracts import ReportPeriod
from billfleet_ops.errors import UsageWrong

OVER_EVERYWHERE = timedelta(hours=12)
"""Where the day ends last, it ends so long after it has ended in UTC."""
_MONTH = re.compile(r"\d{4}-\d{2}")


def chosen(
    kinds: Mapping[ReportPeriod, bool], when: str | None, now: datetime
) -> tuple[ReportPeriod, date]:
    """The kind of period that was asked for, a month without any, and a day that lies in it.

    Raises:
        UsageWrong: several kinds were given, or what was given is no day.
    """
    named = [kind for kind, is_asked in kinds.items() if is_asked]
    if len(named) > 1:
        raise UsageWrong(
            "Only one period can be reported at once",
            where="analytics report",
            remedy="Use --month 2026-10, --week 2026-10-05 (a day of it) or --day 2026-10-31.",
        )
    period: ReportPeriod = named[0] if named else "month"
    if when is None:
        return period, _day_of_the_last(period, (now - OVER_EVERYWHERE).date())
    try:
        return period, date.fromisoformat(f"{when}-01" if _MONTH.fullmatch(when) else when)
    except ValueError:
        raise UsageWrong(
            f"{when!r} is not a {period}",
            where=f"--{period}",
            remedy="Write 2026-10 for a month, 2026-10-31 for a day or a day of the week.",
        ) from None


def _day_of_the_last(period: ReportPeriod, today: date) -> date:
    """A day of the latest period before the one that today lies in."""
    if period == "month":
        return today.replace(day=1) - timedelta(days=1)
    return today - timedelta(days=7 if period == "week" else 1)
