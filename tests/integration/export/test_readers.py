"""What third parties read in the files: DuckDB and Arrow, openpyxl, Python's csv."""

import csv
import io
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import duckdb
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from billfleet_db.cells import is_formula
from billfleet_db.datasets import DATASETS
from billfleet_workers.handlers.export.xlsx_book import Book
from export_world import ExportWorld

REASON = "=1+1"


def ask(query: str) -> list[Any]:
    """What DuckDB answers."""
    found = duckdb.sql(query)
    assert found is not None
    return list(found.fetchall())


async def test_parquet_has_types_and_text_as_it_is(world: ExportWorld, tmp_path: Path) -> None:
    await world.post(3, reason='two\nlines, "quoted"')
    await world.post(1, reason="", prefix="empty")
    await world.post(1, prefix="none")
    await world.run(world.request("parquet"))
    body = world.only_object().body
    table = pq.read_table(pa.BufferReader(body))
    assert table.num_rows == 5
    assert str(table.schema.field("posted_at").type) == "timestamp[us, tz=UTC]"
    assert str(table.schema.field("period_start").type) == "date32[day]"
    assert str(table.schema.field("amount_minor").type) == "int64"
    assert table["reason"].to_pylist() == ['two\nlines, "quoted"'] * 3 + ["", None]
    assert table["posted_at"][0].as_py() == datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    path = tmp_path / "ledger.parquet"
    path.write_bytes(body)
    total = ask(f"SELECT sum(amount_minor), count(*) FROM '{path}'")
    assert total == [(101 + 102 + 103 + 101 + 101, 5)]


async def test_parquet_of_many_blocks_is_one_table(world: ExportWorld, tmp_path: Path) -> None:
    await world.post(2_000, reason="x" * 10_000)
    await world.run(world.request("parquet"))
    path = tmp_path / "ledger.parquet"
    path.write_bytes(world.only_object().body)
    assert pq.ParquetFile(path).num_row_groups > 1
    found = ask(f"SELECT count(*), min(transfer_id) > 0 FROM '{path}'")
    assert found == [(2_000, True)]


async def test_csv_is_read_by_duckdb_and_by_python_alike(
    world: ExportWorld, tmp_path: Path
) -> None:
    await world.post(3, reason='two\nlines, "quoted"; and more')
    await world.run(world.request("csv"))
    body = world.only_object().body
    path = tmp_path / "ledger.csv"
    path.write_bytes(body)
    read = ask(f"SELECT amount_minor, reason FROM read_csv('{path}')")
    rows = csv.DictReader(io.StringIO(body.decode(), newline=""))
    assert read == [(int(row["amount_minor"]), row["reason"]) for row in rows]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
async def test_no_cell_of_a_csv_runs_at_whatever_separator_a_spreadsheet_splits(
    world: ExportWorld, separator: str
) -> None:
    """R79."""
    for at, evil in enumerate(("=1+1", ' "=1', "-1-1", "@x;=1", "\uff1d1\n=2")):
        for glue in ("", "a;", "a\t", "a\n", "a, b\r\n", 'a";"'):
            await world.post(1, reason=glue + evil, prefix=f"k{at}{glue.encode().hex()}")
    await world.run(world.request("csv"))
    text = world.only_object().body.decode()
    read = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    assert [cell for row in read for cell in row if is_formula(cell)] == []


async def test_workbook_has_numbers_days_and_text_that_cannot_run(world: ExportWorld) -> None:
    """R79."""
    await world.post(1, reason=REASON)
    await world.post(1, reason="ordinary", prefix="o")
    await world.run(world.request("xlsx"))
    body = world.only_object().body
    sheet = openpyxl.load_workbook(io.BytesIO(body)).active
    assert sheet is not None
    header = {cell.value: cell.column for cell in sheet[1]}
    assert sheet.freeze_panes == "A2"
    reason, plain = (sheet.cell(row, header["reason"]) for row in (2, 3))
    assert (reason.value, reason.data_type, reason.quotePrefix) == (REASON, "s", 1)
    assert (plain.value, plain.quotePrefix) == ("ordinary", 0)
    amount = sheet.cell(2, header["amount_minor"])
    assert (amount.value, amount.data_type) == (101, "n")
    assert sheet.cell(2, header["posted_at"]).value == datetime(2026, 1, 1, 0, 1)  # noqa: DTZ001 - a sheet knows no zones
    assert sheet.cell(2, header["period_start"]).value.date() == date(2026, 1, 1)
    parts = ZipFile(io.BytesIO(body))
    assert not any(b"<f>" in parts.read(name) for name in parts.namelist())


def test_rows_that_no_sheet_holds_go_on_in_the_next(tmp_path: Path) -> None:
    columns = DATASETS["cards"].columns[:2]
    path = tmp_path / "book.xlsx"
    book = Book(path, tmp_path, "x" * 40, columns, datetime(2026, 1, 1, tzinfo=UTC), 2)
    for number in range(5):
        book.add([(f"card-{number}", number)])
    book.close()
    sheets = openpyxl.load_workbook(path).worksheets
    assert [sheet.title for sheet in sheets] == ["x" * 31, "x" * 29 + " 2", "x" * 29 + " 3"]
    rows = [[row[1] for row in sheet.iter_rows(min_row=2, values_only=True)] for sheet in sheets]
    assert rows == [[0, 1], [2, 3], [4]]
    assert {sheet["A1"].value for sheet in sheets} == {columns[0].name}
    assert [sheet.auto_filter.ref for sheet in sheets] == ["A1:B3", "A1:B3", "A1:B2"]
    assert book.rows == 5


async def test_text_that_no_cell_holds_is_refused_and_never_cut(world: ExportWorld) -> None:
    await world.post(1, reason="x" * 32_768)
    await world.run(world.request("xlsx"))
    failure = (await world.export()).failure
    assert failure is not None
    assert "reason has more in row 1" in failure
