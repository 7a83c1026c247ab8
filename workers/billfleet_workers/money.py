"""The door to money for the rooms above: text to minor units and back.

The commands import it, since they may not reach into a handler. The work is done in
`handlers.money`; nothing is added here.
"""

from billfleet_workers.handlers.money import (
    MoneyError,
    UnknownCurrency,
    exponent,
    format_minor,
    parse_minor,
)

__all__ = ["MoneyError", "UnknownCurrency", "exponent", "format_minor", "parse_minor"]
