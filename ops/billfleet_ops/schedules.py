"""When each sweep runs: the one table behind EventBridge schedules and systemd timers.

A test compares it with the commands below `billfleet sweep`, so that no sweep is left without a
clock. Times are UTC. Every sweep may run twice, late, or beside itself.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Schedule:
    """One sweep's clock, in both spellings."""

    sweep: str
    expression: str
    """As EventBridge Scheduler writes it."""
    calendar: str
    """As systemd writes it (`OnCalendar`)."""
    says: str


SCHEDULES: Final[tuple[Schedule, ...]] = (
    Schedule("rebill", "cron(3 * * * ? *)", "*-*-* *:03:00", "hourly: days begin at every hour"),
    Schedule("collect", "rate(5 minutes)", "*-*-* *:00/5:00", "what dunning put off until now"),
    Schedule("loyalty-expiry", "cron(20 1 * * ? *)", "*-*-* 01:20:00", "once a day"),
    Schedule("loyalty-warnings", "cron(40 7 * * ? *)", "*-*-* 07:40:00", "points that end soon"),
    Schedule("analytics", "rate(5 minutes)", "*-*-* *:02/5:00", "sketches and raw files"),
    Schedule("reports", "cron(10 * * * ? *)", "*-*-* *:10:00", "hourly: days end at every hour"),
)
