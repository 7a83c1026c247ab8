"""Days, weeks and months of a calendar: where they begin and end, and what they are called. Pure.

The reports worker, its sweep and the commands call it. Weeks begin on Monday. A day is a date here:
which instants it covers is the wall clock's business.
"""

from calendar import monthrange
from datetime import date, timedelta

from billfleet_contracts import ReportPeriod

ONE_DAY = timedelta(days=1)


def first_day_of(period: ReportPeriod, day: date) -> date:
    """The first day of the period in which the day lies."""
    match period:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)


def last_day_of(period: ReportPeriod, day: date) -> date:
    """The last day of the period in which the day lies."""
    match period:
        case "day":
            return day
        case "week":
            return first_day_of(period, day) + timedelta(days=6)
        case "month":
            return day.replace(day=monthrange(day.year, day.month)[1])


def before(period: ReportPeriod, day: date) -> date:
    """The first day of the period before the one in which the day lies."""
    return first_day_of(period, first_day_of(period, day) - ONE_DAY)


def months_before(day: date, months: int) -> date:
    """The first day of the month that lies so many months earlier."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, 1)


def name_of(period: ReportPeriod, day: date) -> str:
    """What people call it: `October 2026`, `week of 5 October 2026`, `5 October 2026`."""
    spelt = f"{day.day} {day:%B %Y}"
    match period:
        case "day":
            return spelt
        case "week":
            start = first_day_of(period, day)
            return f"week of {start.day} {start:%B %Y}"
        case "month":
            return f"{day:%B %Y}"
