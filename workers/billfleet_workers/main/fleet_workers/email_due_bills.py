"""The `email-due-bills` worker: answers who asks what an account owes, with one mail an hour."""

from typing import Final

from billfleet_contracts import DueBillsRequested
from billfleet_workers.main.fleet_workers.spec import Handlers, WorkerSpec
from billfleet_workers.main.mailing import open_windows
from billfleet_workers.main.permissions import puts_files
from billfleet_workers.main.shared import SOURCE, Shared


async def _open(shared: Shared) -> Handlers:
    from billfleet_workers.handlers.email_due_bills.handler import DueBillsHandler, DueBillsPorts

    ports = DueBillsPorts(
        shared.database,
        await open_windows(shared),
        await shared.open_objects(),
        shared.clock,
        shared.metrics,
    )
    handler = DueBillsHandler(ports, shared.settings.nothing_due, f"{SOURCE}/email-due-bills")
    return {DueBillsRequested.TYPE: handler}


WORKER: Final = WorkerSpec(
    "email-due-bills",
    "finds what an account owes when somebody asks, once an hour",
    _open,
    permissions=puts_files("bills/"),
)
