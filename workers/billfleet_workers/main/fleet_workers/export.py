"""The `export` worker: writes rows of one tenant into files."""

import ctypes
import os
from contextlib import suppress
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
MALLOC_TUNING: Final = ((-8, 1), (-3, 128 * 1024), (-1, 128 * 1024))
"""M_ARENA_MAX, M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of mallopt(3)."""
ARROW_POOL: Final = ("ARROW_DEFAULT_MEMORY_POOL", "system")
"""Arrow's own allocator keeps 25 MB of freed memory for later; it reads this when it is loaded."""
AT_ONCE_MAX: Final = 3
"""Exports of one process; each holds some parts of its file in memory."""


async def _open(shared: Shared) -> Handlers:
    from billfleet_workers.handlers.export import ExportHandler, ExportPolicy, Workshop

    give_memory_back()
    lease = timedelta(seconds=shared.settings.lease_s or LEASE_S)
    handler = ExportHandler(
        Workshop(shared.database, await shared.open_objects(), shared.clock, lease=lease),
        shared.metrics,
        ExportPolicy(per_tenant_max=shared.settings.exports_per_tenant_max),
        source=f"{SOURCE}/export",
    )
    return {ExportRequested.TYPE: handler}


def give_memory_back() -> None:
    """Tell glibc to return big buffers at once, and Arrow to use glibc, before it is imported.

    Elsewhere there is no such call, and no need.
    """
    os.environ.setdefault(*ARROW_POOL)
    with suppress(OSError, AttributeError, TypeError):
        tune = ctypes.CDLL(None).mallopt
        for parameter, value in MALLOC_TUNING:
            tune(parameter, value)


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
