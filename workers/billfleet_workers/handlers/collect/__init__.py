"""Collection: from an open bill to a payment in the ledger, or to a recorded reason why not."""

from billfleet_workers.handlers.collect.handler import CollectHandler
from billfleet_workers.handlers.collect.policy import CollectPolicy

__all__ = ["CollectHandler", "CollectPolicy"]
