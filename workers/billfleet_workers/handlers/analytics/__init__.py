"""Analytics: the worker's handler, sketches, raw files in the object store, and the recount."""

from billfleet_workers.handlers.analytics.admitting import HOUSE, AdmissionPolicy, policy_of
from billfleet_workers.handlers.analytics.compacting import compact, compact_day, remove_replaced
from billfleet_workers.handlers.analytics.exporting import export_events
from billfleet_workers.handlers.analytics.handler import AnalyticsHandler
from billfleet_workers.handlers.analytics.recounting import Comparison, compare, rebuild
from billfleet_workers.handlers.analytics.refreshing import refresh_sketches

__all__ = [
    "HOUSE",
    "AdmissionPolicy",
    "AnalyticsHandler",
    "Comparison",
    "compact",
    "compact_day",
    "compare",
    "export_events",
    "policy_of",
    "rebuild",
    "refresh_sketches",
    "remove_replaced",
]
