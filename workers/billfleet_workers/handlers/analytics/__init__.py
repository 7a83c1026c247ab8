"""Analytics: the worker's handler, sketches, raw files in the object store, and the recount."""

from billfleet_workers.handlers.analytics.handler import AnalyticsHandler

__all__ = ["AnalyticsHandler"]
