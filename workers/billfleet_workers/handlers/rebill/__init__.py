"""Rebilling: from an account that is due to a charge in the ledger, once per period."""

from billfleet_workers.handlers.rebill.collect_sweep import CollectReport, sweep_collect
from billfleet_workers.handlers.rebill.handler import RebillHandler
from billfleet_workers.handlers.rebill.plan import RebillLimits
from billfleet_workers.handlers.rebill.sweep import HorizonExceeded, SweepReport, sweep_rebill

__all__ = [
    "CollectReport",
    "HorizonExceeded",
    "RebillHandler",
    "RebillLimits",
    "SweepReport",
    "sweep_collect",
    "sweep_rebill",
]
