"""Loyalty points: the worker's handler, the rules, and the expiry sweep."""

from billfleet_workers.handlers.loyalty_points.earning import Earned, Standing, earn
from billfleet_workers.handlers.loyalty_points.handler import LoyaltyHandler
from billfleet_workers.handlers.loyalty_points.lots import Balance, Book, balance
from billfleet_workers.handlers.loyalty_points.sweep import ExpiryReport, sweep_expiry
from billfleet_workers.handlers.loyalty_points.warning import WarningReport, sweep_warnings

__all__ = [
    "Balance",
    "Book",
    "Earned",
    "ExpiryReport",
    "LoyaltyHandler",
    "Standing",
    "WarningReport",
    "balance",
    "earn",
    "sweep_expiry",
    "sweep_warnings",
]
