"""Parquet: COPY's rows, read by Arrow in small blocks, each a row group.

Types are the data set's: integers, days and UTC instants stay what they are. Text stays as it is,
since no spreadsheet guesses at it here. A block takes Arrow some hundredths of a second, less than
it would cost in memory to let threads do it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from billfleet_db.datasets import ColumnKind
from billfleet_db.snapshots import Snapshot
from billfleet_workers.handlers.export.formats import Order
from billfleet_workers.handlers.export.parts import PartWriter

BLOCK_BYTES: Final = 2 * 1024 * 1024
TYPES: Final[Mapping[ColumnKind, Any]] = {
    "text": pa.string(),
    "word": pa.string(),
    "json": pa.string(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "instant": pa.timestamp("us", "UTC"),
}


async def write(snapshot: Snapshot, order: Order, parts: PartWriter) -> int:
    """Write the rows; returns how many."""
    selection = order.selection
    fields = [pa.field(column.name, TYPES[column.kind]) for column in selection.columns]
    # What repeats is worth a dictionary; ids and free text would only fill one and drop it.
    repeating = [column.name for column in selection.columns if column.kind in ("word", "date")]
    book = _Book(pa.schema(fields), repeating)
    block = bytearray()

    async def pass_on() -> None:
        written = book.add(bytes(block))
        block.clear()
        parts.rows_seen = book.rows
        await parts.write(written)

    async def take(piece: bytes) -> None:
        block.extend(piece)
        if len(block) >= BLOCK_BYTES:
            await pass_on()

    rows = await snapshot.copy(selection.query(), selection.args, take, form="csv", header=False)
    if block:
        await pass_on()
    await parts.write(book.close())
    return rows


class _Book:
    """A Parquet file in the making; what it has written so far is taken away after each block."""

    def __init__(self, schema: Any, repeating: Sequence[str]) -> None:
        self.rows = 0
        self._schema = schema
        self._out = _Drawer()
        self._writer = pq.ParquetWriter(
            self._out,
            schema,
            compression="zstd",
            use_dictionary=list(repeating) or False,
            # Arrow keeps what the footer will say of every group until the end. Readers skip groups
            # by time, so that is what they are told of.
            write_statistics=[f.name for f in schema if pa.types.is_temporal(f.type)] or False,
        )

    def add(self, block: bytes) -> bytes:
        """Add rows that COPY has written; returns what the file has grown by."""
        table = pa_csv.read_csv(
            pa.BufferReader(block),
            read_options=pa_csv.ReadOptions(
                column_names=self._schema.names,
                use_threads=False,
                # One row is never longer than the whole.
                block_size=len(block) + 1,
            ),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict(zip(self._schema.names, self._schema.types, strict=True)),
                null_values=[""],
                true_values=["t"],
                false_values=["f"],
                # COPY writes NULL as nothing, and empty text in quotes.
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        self._writer.write_table(table)
        self.rows += table.num_rows
        return self._out.emptied()

    def close(self) -> bytes:
        """Write the footer; returns the last of the file."""
        self._writer.close()
        return self._out.emptied()


class _Drawer:
    """A file that remembers how much went in, and holds only what was not taken out yet."""

    closed = False

    def __init__(self) -> None:
        self._held = bytearray()
        self._length = 0

    def write(self, data: Any) -> int:
        """Keep it."""
        self._held += data
        self._length += len(data)
        return len(data)

    def tell(self) -> int:
        """Where the next byte goes."""
        return self._length

    def flush(self) -> None:
        """Nothing is behind this."""

    def writable(self) -> bool:
        """It is for writing."""
        return True

    def close(self) -> None:
        """Nothing to close: what it holds is still to be taken out."""

    def emptied(self) -> bytes:
        """Take out what it holds."""
        held = bytes(self._held)
        self._held.clear()
        return held
