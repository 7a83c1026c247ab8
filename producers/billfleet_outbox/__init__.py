"""A transactional outbox for services that have their own database and enqueue fleet work.

The public door of this package: import from here and from nowhere deeper. `enqueue` writes a row
in the caller's own transaction, so that work is enqueued exactly when that commits; a relay
carries rows to SQS and SNS. It must not know the fleet's own database.

It needs SQLAlchemy: `pip install 'billfleet-producers[outbox]'`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from billfleet_outbox.async_relay import AsyncRelay
    from billfleet_outbox.outbox import Outbox
    from billfleet_outbox.relay import Relay
    from billfleet_outbox.rows import Backlog, Round
    from billfleet_outbox.tables import OutboxTables

__all__ = ["AsyncRelay", "Backlog", "Outbox", "OutboxTables", "Relay", "Round"]

_HOMES = {
    "AsyncRelay": "async_relay",
    "Backlog": "rows",
    "Outbox": "outbox",
    "OutboxTables": "tables",
    "Relay": "relay",
    "Round": "rows",
}


def __getattr__(name: str) -> Any:
    """Import a name when asked for, so that the command can say that SQLAlchemy is missing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
