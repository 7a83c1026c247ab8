"""The front door over HTTP: front ends in any language enqueue work and hear what became of it.

The public door of this package: `billfleet gateway` makes the parts, this makes the application.
It is built on the contracts, the producer library and the database room, and must not know a
worker.
"""

from billfleet_gateway.app import create_app
from billfleet_gateway.credentials import SCOPES, NewKey, Scope, new_key
from billfleet_gateway.door import Door, Options
from billfleet_gateway.ports import FileStore, WorkRecord, WorkRecords

__all__ = [
    "SCOPES",
    "Door",
    "FileStore",
    "NewKey",
    "Options",
    "Scope",
    "WorkRecord",
    "WorkRecords",
    "create_app",
    "new_key",
]
