"""Billing dates: which day a period starts, ends and falls due. Pure.

The sweep and the plan call it. A period's start comes from the account's anchor day, never from
the day of the period before, so that a short month leaves no trace. "Today" is the account's own
day in its IANA zone, with the zone's rules of that moment. It knows no account and no database.
"""

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

ONE_DAY = timedelta(days=1)
EARLIEST_OFFSET = timedelta(hours=14)
"""How far ahead of UTC the first zone to see a new day is (Pacific/Kiritimati)."""


class UnknownZone(Exception):
    """The account's time zone is not in the IANA database. Correct it, then unpark the account."""


class DateOutOfRange(Exception):
    """The period would lie outside the calendar. Correct the account's rebilling date."""


def next_period(period_start: date, anchor_day: int, interval_months: int) -> date:
    """The start of the period after the one that starts in the month of `period_start`."""
    months = period_start.year * 12 + period_start.month - 1 + interval_months
    year, month = divmod(months, 12)
    if not date.min.year <= year <= date.max.year:
        raise DateOutOfRange(f"no period follows {period_start} by {interval_months} months")
    return date(year, month + 1, min(anchor_day, monthrange(year, month + 1)[1]))


def period_end(period_start: date, anchor_day: int, interval_months: int) -> date:
    """The last day of the period: the day before the next one starts."""
    return next_period(period_start, anchor_day, interval_months) - ONE_DAY


def periods_due(
    rebilling_date: date, anchor_day: int, interval_months: int, until: date
) -> Iterator[date]:
    """The starts of all periods from the rebilling date to `until`, oldest first."""
    period_start = rebilling_date
    while period_start <= until:
        yield period_start
        period_start = next_period(period_start, anchor_day, interval_months)


def local_today(now: datetime, zone: str) -> date:
    """The calendar day in the zone at this moment.

    Raises:
        UnknownZone: there is no such zone.
    """
    return now.astimezone(_zone(zone)).date()


def latest_today(now: datetime) -> date:
    """The day it is where the day begins first: no account anywhere is further."""
    return (now.astimezone(UTC) + EARLIEST_OFFSET).date()


def zone_of(zone: str) -> ZoneInfo:
    """The zone itself.

    Raises:
        UnknownZone: there is no such zone.
    """
    return _zone(zone)


def start_of_utc_day(now: datetime) -> datetime:
    """When the day began in which an account's charges are counted."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def is_due(rebilling_date: date, now: datetime, zone: str) -> bool:
    """Whether the account's own day has reached its rebilling date."""
    return rebilling_date <= local_today(now, zone)


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        # zoneinfo answers a missing name with KeyError, a malformed one with ValueError, and the
        # name of a folder of zones ("America") with whatever opening a folder gives.
        raise UnknownZone(f"{name!r} is not a time zone of the IANA database") from error
