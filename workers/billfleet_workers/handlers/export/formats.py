"""The formats of an export: type, ending, and who writes each.

`run` takes a writer from here. A writer is imported when it is needed, so that a worker that never
writes Parquet never loads Arrow.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Final, cast

from billfleet_db.datasets import Selection
from billfleet_db.snapshots import Snapshot
from billfleet_workers.handlers.export.parts import PartWriter


@dataclass(frozen=True, slots=True)
class Order:
    """What a writer is to write. `requested_at` dates the file, so that a repeat is the same."""

    selection: Selection
    tenant_id: str
    locale: str
    requested_at: datetime


Write = Callable[[Snapshot, Order, PartWriter], Awaitable[int]]
"""Writes the order's rows and returns how many there were."""


@dataclass(frozen=True, slots=True)
class Format:
    """One format."""

    name: str
    ending: str
    content_type: str
    module: str

    def writer(self) -> Write:
        """The function that writes it."""
        module = import_module(f"billfleet_workers.handlers.export.{self.module}")
        return cast("Write", module.write)


FORMATS: Final[Mapping[str, Format]] = {
    form.name: form
    for form in (
        Format("csv", "csv", "text/csv; charset=utf-8", "csv_rows"),
        Format("ndjson", "ndjson", "application/x-ndjson", "ndjson_rows"),
        Format("parquet", "parquet", "application/vnd.apache.parquet", "parquet_file"),
        Format(
            "xlsx",
            "xlsx",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "xlsx_book",
        ),
        Format("pdf", "pdf", "application/pdf", "pdf_statement"),
    )
}
