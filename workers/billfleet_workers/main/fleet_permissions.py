"""The permissions of every role of the fleet, put together from what each part declares.

The services template makes IAM roles of them. A worker without a module of its own yet has those
of its queue.
"""

from collections.abc import Mapping
from typing import Final

from billfleet_contracts import QUEUES
from billfleet_workers.main.fleet_workers import SPECS
from billfleet_workers.main.parts import RELAY
from billfleet_workers.main.permissions import (
    DEDUPE_TABLE,
    Permission,
    Permissions,
    claims,
    counts_backlogs,
    deletes_files,
    gets_files,
    lists_files,
    on_table,
    puts_files,
    reads,
    relays,
    sends_to,
)

SWEEPS: Final[Mapping[str, Permissions]] = {
    "rebill": sends_to("rebill"),
    "collect": sends_to("collect"),
    "analytics": (
        *puts_files("raw/"),
        *gets_files("raw/"),
        *lists_files(),
        *deletes_files("raw/"),
    ),
    "reports": sends_to("reports"),
}
"""What a sweep sends. One that is not named only reads and writes the database."""


def worker_permissions() -> dict[str, Permissions]:
    """By worker, sorted, each permission once."""
    found = {
        spec.worker: _once((*reads(spec), *claims(), *_declared(spec.worker)))
        for spec in QUEUES.values()
    }
    # The process of the relay asks the dedupe table for an answer when it starts.
    started = on_table(DEDUPE_TABLE, "BatchGetItem")
    return {**found, RELAY: _once((*relays(), *counts_backlogs(), *started))}


def front_door_permissions() -> Permissions:
    """What the front door does: see whether work is done, and sign addresses of objects."""
    kinds = ("avatars/", "bills/", "exports/", "reports/")
    opened = [permission for kind in kinds for permission in gets_files(kind)]
    sees = on_table(DEDUPE_TABLE, "BatchGetItem")
    return _once((*sees, *opened, *puts_files("avatars/", bucket="uploads")))


def replay_permissions() -> Permissions:
    """What an operator needs who brings dead letters home, with everything that it can do."""
    letters: list[Permission] = []
    for spec in QUEUES.values():
        on_letters = (
            "GetQueueUrl",
            "GetQueueAttributes",
            "ReceiveMessage",
            "ChangeMessageVisibility",
            "DeleteMessage",
            "SendMessage",
            "ListDeadLetterSourceQueues",
        )
        letters += [Permission(f"sqs:{action}", spec.dlq_name) for action in on_letters]
        on_source = ("GetQueueUrl", "GetQueueAttributes", "SendMessage")
        letters += [Permission(f"sqs:{action}", spec.name) for action in on_source]
    return _once((*letters, *on_table(DEDUPE_TABLE, "BatchGetItem", "PartiQLDelete")))


def _declared(worker: str) -> Permissions:
    spec = SPECS.get(worker)
    return spec.permissions if spec else ()


def _once(permissions: Permissions) -> Permissions:
    return tuple(sorted(set(permissions)))
