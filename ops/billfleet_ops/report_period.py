"""Which report is meant: a day, a week or a month, as it is typed.

`billfleet analytics report` reads its options with it. Pure; the calendar is the worker's.
"""

import re
from collections.abc import Mapping
from datetime import date

from billfleet_contracts import ReportPeriod
from billfleet_ops.errors import UsageWrong

_MONTH = re.compile(r"\d{4}-\d{2}")


def chosen(given: Mapping[ReportPeriod, str | None]) -> tuple[ReportPeriod, date]:
    """The one period that was given, with a day that lies in it.

    Raises:
        UsageWrong: none or several were given, or what was given is no day.
    """
    named = [(period, said) for period, said in given.items() if said is not None]
    if len(named) != 1:
        raise UsageWrong(
            "Give one period" if not named else "Only one period can be reported at once",
            where="analytics report",
            remedy="Use --month 2026-10, --week 2026-10-05 (a day of it) or --day 2026-10-31.",
        )
    period, said = named[0]
    try:
        return period, date.fromisoformat(f"{said}-01" if _MONTH.fullmatch(said) else said)
    except ValueError:
        raise UsageWrong(
            f"{said!r} is not a {period}",
            where=f"--{period}",
            remedy="Write 2026-10 for a month, 2026-10-31 for a day or a day of the week.",
        ) from None
