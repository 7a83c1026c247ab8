"""The door to billing dates for the rooms above: next period, period end, today in a zone.

The commands import it, since they may not reach into a handler. The work is done in
`handlers.rebill.dates`; nothing is added here.
"""

from billfleet_workers.handlers.rebill.dates import (
    DateOutOfRange,
    UnknownZone,
    is_due,
    local_today,
    next_period,
    period_end,
    periods_due,
)

__all__ = [
    "DateOutOfRange",
    "UnknownZone",
    "is_due",
    "local_today",
    "next_period",
    "period_end",
    "periods_due",
]
