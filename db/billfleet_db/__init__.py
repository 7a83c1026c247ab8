"""The database room: the one place that speaks SQL.

Called by handlers and by the command line. It knows tables and transactions, and nothing of queues,
events or gateways.
"""

from billfleet_db.engine import Database

__all__ = ["Database"]
