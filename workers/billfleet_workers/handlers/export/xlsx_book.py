"""XLSX: sheets with a header that stays in sight, typed cells, nothing that can run.

Text is written as text. What a spreadsheet would take for a formula as soon as somebody edits the
cell carries the mark that Excel itself sets for a leading apostrophe, so the value is unchanged.
Rows go to a file on disk as they come; memory holds one of them. After a full sheet comes another.
"""

import asyncio
import json
import tempfile
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import xlsxwriter
from xlsxwriter.exceptions import FileSizeError

from billfleet_db.cells import is_formula
from billfleet_db.datasets import Column
from billfleet_db.snapshots import Snapshot
from billfleet_workers.handlers.export.errors import ExportRefused
from billfleet_workers.handlers.export.formats import Order
from billfleet_workers.handlers.export.parts import PartWriter

SHEET_ROWS_MAX: Final = 1_048_575
"""What a sheet holds beside its header."""
TITLE_MAX: Final = 31
TEXT_MAX: Final = 32_767
CHUNK_BYTES: Final = 1024 * 1024
_EXACT_MAX: Final = 10**15
"""Spreadsheets count in doubles: longer integers are written as text, digit by digit."""
_WIDTHS: Final = {"integer": 14, "date": 12, "instant": 20, "boolean": 8}


async def write(snapshot: Snapshot, order: Order, parts: PartWriter) -> int:
    """Write the rows; returns how many."""
    selection = order.selection
    with tempfile.TemporaryDirectory(prefix="billfleet-export-") as folder:
        path = Path(folder) / "book.xlsx"
        book = Book(
            path, Path(folder), selection.dataset.title, selection.columns, order.requested_at
        )
        try:
            async for rows in snapshot.batches(selection.query(), selection.args):
                await asyncio.to_thread(book.add, rows)
                parts.rows_seen = book.rows
            await asyncio.to_thread(book.close)
        finally:
            book.let_go()
        with path.open("rb") as file:
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                await parts.write(chunk)
    return book.rows


class Book:
    """A workbook in the making."""

    def __init__(
        self,
        path: Path,
        folder: Path,
        title: str,
        columns: Sequence[Column],
        created_at: datetime,
        sheet_rows_max: int = SHEET_ROWS_MAX,
    ) -> None:
        self.rows = 0
        self._title = title
        self._sheet_rows_max = sheet_rows_max
        self._columns = columns
        self._book = xlsxwriter.Workbook(
            str(path), {"constant_memory": True, "tmpdir": str(folder), "strings_to_urls": False}
        )
        created = created_at.astimezone(UTC).replace(tzinfo=None)
        self._book.set_properties({"title": title, "created": created})
        self._text = self._book.add_format({"num_format": "@"})
        self._shielded = self._book.add_format({"num_format": "@", "quote_prefix": True})
        self._formats = {
            "integer": self._book.add_format({"num_format": "0"}),
            "date": self._book.add_format({"num_format": "yyyy-mm-dd"}),
            "instant": self._book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
        }
        self._bold = self._book.add_format({"bold": True, "bottom": 1})
        self._begin_sheet()

    def add(self, rows: Sequence[Any]) -> None:
        """Add rows below the last."""
        for row in rows:
            if self._sheet_rows == self._sheet_rows_max:
                self._end_sheet()
                self._begin_sheet()
            self.rows += 1
            self._sheet_rows += 1
            for at, value in enumerate(row):
                self._write(self._sheet_rows, at, value)

    def close(self) -> None:
        """Put the file together."""
        self._end_sheet()
        try:
            self._book.close()
        except FileSizeError:
            raise ExportRefused(
                "a sheet would be larger than 4 GiB; narrow the filters, or ask for csv or parquet"
            ) from None

    def let_go(self) -> None:
        """Close the files that the library keeps for rows, which an unfinished book leaves open."""
        for sheet in self._book.worksheets():
            sheet.row_data_fh.close()

    def _end_sheet(self) -> None:
        """Filter on the header."""
        self._sheet.autofilter(0, 0, self._sheet_rows, len(self._columns) - 1)

    def _begin_sheet(self) -> None:
        number = len(self._book.worksheets()) + 1
        suffix = f" {number}" if number > 1 else ""
        self._sheet = self._book.add_worksheet(self._title[: TITLE_MAX - len(suffix)] + suffix)
        self._sheet_rows = 0
        self._sheet.freeze_panes(1, 0)
        for at, column in enumerate(self._columns):
            width = max(_WIDTHS.get(column.kind, 18), len(column.name) + 2)
            self._sheet.set_column(at, at, width)
            self._sheet.write_string(0, at, column.name, self._bold)

    def _write(self, row: int, at: int, value: Any) -> None:
        sheet = self._sheet
        if value is None:
            return
        if isinstance(value, bool):
            sheet.write_boolean(row, at, value)
        elif isinstance(value, int) and abs(value) < _EXACT_MAX:
            sheet.write_number(row, at, value, self._formats["integer"])
        elif isinstance(value, datetime):
            plain = value.astimezone(UTC).replace(tzinfo=None)
            sheet.write_datetime(row, at, plain, self._formats["instant"])
        elif isinstance(value, date):
            sheet.write_datetime(row, at, value, self._formats["date"])
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            if len(text) > TEXT_MAX:
                raise ExportRefused(
                    f"a cell holds {TEXT_MAX} characters and {self._columns[at].name} has more in"
                    f" row {self.rows}; leave the column out, or ask for csv or parquet"
                )
            sheet.write_string(row, at, text, self._shielded if is_formula(text) else self._text)
