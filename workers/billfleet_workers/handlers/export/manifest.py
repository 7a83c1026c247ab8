"""What a file says of itself: enough to know, years later, that it is whole and what it holds.

`run` makes it when the last byte has arrived; commands show it and check files against it. Pure.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from billfleet_db.datasets import Selection

VERSION: Final = 1


def manifest_of(
    selection: Selection,
    *,
    export_id: UUID,
    tenant_id: str,
    form: str,
    file_name: str,
    rows: int,
    bytes_count: int,
    sha256: str,
    taken_at: datetime,
    lsn: str,
) -> Mapping[str, Any]:
    """The manifest, ready for JSON."""
    return {
        "manifest": VERSION,
        "export_id": str(export_id),
        "tenant": tenant_id,
        "dataset": selection.dataset.name,
        "dataset_version": selection.dataset.version,
        "format": form,
        "columns": [{"name": column.name, "kind": column.kind} for column in selection.columns],
        "filters": dict(selection.filters),
        "file_name": file_name,
        "rows": rows,
        "bytes": bytes_count,
        "sha256": sha256,
        "snapshot_at": taken_at.isoformat(),
        "snapshot_lsn": lsn,
    }
