"""Hours and days of a tenant's wall clock. Pure.

Intake puts each event into its hour with it, reports find their days with it. An hour is named by
the instant at which it began, so an hour that the clock shows twice is two hours and one that it
skips is none: days have 23, 24 or 25 of them (R75).
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from billfleet_workers.dates import zone_of

ONE_DAY = timedelta(days=1)


def place(occurred_at: datetime, zone: ZoneInfo) -> tuple[datetime, date]:
    """The instant at which the event's hour began on the wall clock, and the clock's day."""
    shown = occurred_at.astimezone(zone)
    since = timedelta(minutes=shown.minute, seconds=shown.second, microseconds=shown.microsecond)
    return occurred_at.astimezone(UTC) - since, shown.date()


def day_start(day: date, time_zone: str) -> datetime:
    """The instant at which the day begins; where midnight is skipped, the first that it shows.

    Raises:
        billfleet_workers.dates.UnknownZone: there is no such zone.
    """
    return datetime.combine(day, time(), zone_of(time_zone)).astimezone(UTC)


def hours_of(day: date, time_zone: str) -> list[datetime]:
    """The instants at which the day's hours begin, in order.

    Raises:
        billfleet_workers.dates.UnknownZone: there is no such zone.
    """
    zone = zone_of(time_zone)
    instant, end = day_start(day, time_zone), day_start(day + ONE_DAY, time_zone)
    quarter = timedelta(minutes=15)  # no zone's clock is ever moved by less
    hours: list[datetime] = []
    while instant < end:
        start = place(instant, zone)[0]
        if not hours or hours[-1] != start:
            hours.append(start)
        instant += quarter
    return hours
