"""Analytics' tables: events and their quarantine, buckets, sketches, raw files, and reports.

The public door of this package; one module per subject behind it. `see_tenant` comes first in
every transaction: row security shows a session nothing until it has said whose work it does.
"""

from billfleet_db.analytics import (
    books,
    buckets,
    business,
    customers,
    events,
    raw_files,
    reports,
    sketches,
)
from billfleet_db.analytics.books import Counting
from billfleet_db.analytics.buckets import Bucket, BucketKey, Figure
from billfleet_db.analytics.events import EventKey, NewEvent, Quarantined
from billfleet_db.analytics.raw_files import RawEvent, RawFile
from billfleet_db.analytics.reports import MadeReport
from billfleet_db.loyalty.cards import ALL_TENANTS, see_tenant

__all__ = [
    "ALL_TENANTS",
    "Bucket",
    "BucketKey",
    "Counting",
    "EventKey",
    "Figure",
    "MadeReport",
    "NewEvent",
    "Quarantined",
    "RawEvent",
    "RawFile",
    "books",
    "buckets",
    "business",
    "customers",
    "events",
    "raw_files",
    "reports",
    "see_tenant",
    "sketches",
]
