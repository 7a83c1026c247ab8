"""The `export` worker: writes rows of one tenant into files."""

from datetime import timedelta
from typing import Final

from billfleet_contracts import ExportRequested
from billfleet_workers.main.fleet_workers.spec import Handlers, WorkerSpec
from billfleet_workers.main.permissions import (
    FILES_BUCKET,
    Permission,
    deletes_files,
    gets_files,
    lists_files,
    uploads_files,
)
from billfleet_workers.main.shared import SOURCE, Shared

EXPORTS: Final = "exports/"
LEASE_S: Final = 60
AT_ONCE_MAX: Final = 3
"""Exports of one process; each holds some parts of its file in memory."""


async def _open(shared: Shared) -> Handlers:
    from billfleet_workers.handlers.export import ExportHandler, ExportPolicy, Workshop

    lease = timedelta(seconds=shared.settings.lease_s or LEASE_S)
    handler = ExportHandler(
        Workshop(shared.database, await shared.open_objects(), shared.clock, lease=lease),
        shared.metrics,
        ExportPolicy(per_tenant_max=shared.settings.exports_per_tenant_max),
        source=f"{SOURCE}/export",
    )
    return {ExportRequested.TYPE: handler}


WORKER: Final = WorkerSpec(
    "export",
    "writes exports: CSV, NDJSON, Parquet, XLSX, PDF statements",
    _open,
    permissions=(
        *uploads_files(EXPORTS),
        *gets_files(EXPORTS),
        *deletes_files(EXPORTS),
        *lists_files(),
        Permission("s3:ListBucketMultipartUploads", FILES_BUCKET),
    ),
    in_flight_max=AT_ONCE_MAX,
)
