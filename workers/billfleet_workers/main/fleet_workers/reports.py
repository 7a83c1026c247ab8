"""The `reports` worker: makes a tenant's reports on request."""

from typing import Final

from billfleet_contracts import ReportRequested
from billfleet_workers.main.fleet_workers.spec import Handlers, WorkerSpec
from billfleet_workers.main.permissions import puts_files
from billfleet_workers.main.shared import SOURCE, Shared


async def _open(shared: Shared) -> Handlers:
    from billfleet_workers.handlers.reports import ReportMaker, ReportsHandler

    maker = ReportMaker(
        shared.database,
        await shared.open_objects(),
        shared.clock,
        shared.metrics,
        source=f"{SOURCE}/reports",
    )
    return {ReportRequested.TYPE: ReportsHandler(maker)}


WORKER: Final = WorkerSpec(
    "reports",
    "makes reports for tenants: a page, a table and a document in S3",
    _open,
    puts_files("reports/"),
)
