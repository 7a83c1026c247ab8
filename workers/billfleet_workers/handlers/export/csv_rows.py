"""CSV, as COPY writes it: commas, quotes where needed, UTF-8, a header.

Text that a spreadsheet would run as a formula is shielded in the query itself, so that PostgreSQL
does the work; Python passes bytes on, and looks for what another separator would make a formula.
"""

from billfleet_db.cells import shielded_within
from billfleet_db.snapshots import Snapshot
from billfleet_workers.handlers.export.formats import Order
from billfleet_workers.handlers.export.parts import PartWriter


async def write(snapshot: Snapshot, order: Order, parts: PartWriter) -> int:
    """Write the rows; returns how many."""

    async def take(piece: bytes) -> None:
        # Line breaks inside of quotes are counted as well: this is for progress, not for the sum.
        parts.rows_seen += piece.count(b"\n")
        await parts.write(shielded_within(piece))

    selection = order.selection
    return await snapshot.copy(
        selection.query(neutral=True), selection.args, take, form="csv", header=True
    )
