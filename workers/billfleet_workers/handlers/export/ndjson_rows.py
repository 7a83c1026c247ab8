"""NDJSON, as COPY writes it: one object a line, times in ISO 8601 with their offset."""

from billfleet_db.snapshots import Snapshot
from billfleet_workers.handlers.export.formats import Order
from billfleet_workers.handlers.export.parts import PartWriter


async def write(snapshot: Snapshot, order: Order, parts: PartWriter) -> int:
    """Write the rows; returns how many."""

    async def take(piece: bytes) -> None:
        parts.rows_seen += piece.count(b"\n")
        await parts.write(piece)

    selection = order.selection
    return await snapshot.copy(selection.query(), selection.args, take, form="json", header=False)
