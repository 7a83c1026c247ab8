"""Raw events as Parquet files: one schema, the same bytes for the same rows.

The exporter, the compactor and the recount call it. DuckDB and Athena read such files as they are.
pyarrow is loaded on first use.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from billfleet_db.analytics import RawEvent

if TYPE_CHECKING:
    import pyarrow as pa

CONTENT_TYPE: Final = "application/vnd.apache.parquet"
_TEXTS: Final = ("source", "event_id", "payload_hash", "name")
_INSTANTS: Final = ("occurred_at", "stored_at", "hour_start")
_SORTED_BY: Final = [("name", "ascending"), ("hour_start", "ascending"), ("event_no", "ascending")]


def schema() -> "pa.Schema":
    """The columns; `tenant` and `day` are in the path."""
    import pyarrow as pa

    instant = pa.timestamp("us", tz="UTC")
    return pa.schema(
        [
            pa.field("event_no", pa.int64(), nullable=False),
            *(pa.field(name, pa.string(), nullable=False) for name in _TEXTS),
            *(pa.field(name, instant, nullable=False) for name in _INSTANTS),
            pa.field("local_day", pa.date32(), nullable=False),
            pa.field("brand_id", pa.string(), nullable=False),
            pa.field("store_id", pa.string(), nullable=False),
            pa.field("customer_id", pa.string()),
            pa.field("amount_minor", pa.int64()),
            pa.field("currency", pa.string(), nullable=False),
            pa.field("properties", pa.string(), nullable=False),
        ]
    )


def table_of(events: Sequence[RawEvent]) -> "pa.Table":
    """The events as a table."""
    import pyarrow as pa

    wanted = schema()
    columns: dict[str, list[Any]] = {
        name: [getattr(event, name) for event in events] for name in wanted.names
    }
    return pa.table(columns, schema=wanted)


def to_parquet(table: "pa.Table") -> bytes:
    """The file. Sorted, so that a reader of one name skips the others."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table.sort_by(_SORTED_BY), sink, compression="zstd", row_group_size=128 * 1024)
    return bytes(sink.getvalue())


def from_parquet(body: bytes) -> "pa.Table":
    """The table of a file.

    Raises:
        ValueError: it is no Parquet file, or one of other columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(pa.BufferReader(body))
    if table.schema.names != schema().names:
        raise ValueError(f"columns {table.schema.names}")
    return table.cast(schema())


def merged(tables: Sequence["pa.Table"]) -> "pa.Table":
    """One table of all rows."""
    import pyarrow as pa

    return pa.concat_tables(tables)
