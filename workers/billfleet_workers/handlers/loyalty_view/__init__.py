"""The loyalty view: transactions of PostgreSQL brought into the table that front ends read."""

from billfleet_workers.handlers.loyalty_view.handler import LoyaltyViewHandler
from billfleet_workers.handlers.loyalty_view.rebuild import RebuildReport, rebuild

__all__ = ["LoyaltyViewHandler", "RebuildReport", "rebuild"]
