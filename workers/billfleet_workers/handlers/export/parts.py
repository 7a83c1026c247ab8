"""Bytes become the parts of an upload, and whoever writes them waits for the store.

Writers of formats call `write`. One part is on its way while the next one fills, and no third is
begun: so that memory is bound by the size of a part, however many rows there are. It also counts
and hashes what goes by. It knows no format.
"""

import asyncio
import hashlib
from typing import Final

from billfleet_workers.handlers.export.errors import ExportRefused
from billfleet_workers.runtime.ports.objects import PARTS_MAX, Upload

PART_BYTES: Final = 5 * 1024 * 1024
BYTES_MAX: Final = PART_BYTES * PARTS_MAX


class PartWriter:
    """The sink of one export. `rows_seen` is for progress; the writer of the format sets it."""

    def __init__(self, upload: Upload, part_bytes: int = PART_BYTES) -> None:
        self.rows_seen = 0
        self.bytes_count = 0
        self.parts = 0
        self._upload = upload
        self._part_bytes = part_bytes
        self._filling = bytearray()
        self._sending: asyncio.Task[None] | None = None
        self._sha256 = hashlib.sha256()

    async def write(self, data: bytes) -> None:
        """Take bytes; waits when a part is full and the one before has not arrived yet."""
        self._filling += data
        while len(self._filling) >= self._part_bytes:
            await self._send(self._part_bytes)

    async def finish(self) -> str:
        """Send what is left and wait until all has arrived; returns the SHA-256 of everything."""
        if self._filling or self.parts == 0:
            await self._send(len(self._filling))
        await self._arrived()
        return self._sha256.hexdigest()

    async def stop(self) -> None:
        """Leave what is on its way; the upload is about to be aborted."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    async def _send(self, length: int) -> None:
        # The one before is out of memory when this one is cut off.
        await self._arrived()
        if self.parts == PARTS_MAX:
            raise ExportRefused(
                f"the file would be larger than {BYTES_MAX // 2**30} GiB; narrow the filters"
            )
        part = bytes(memoryview(self._filling)[:length])
        del self._filling[:length]
        self.parts += 1
        self.bytes_count += length
        self._sending = asyncio.create_task(self._put(self.parts, part))

    async def _put(self, number: int, part: bytes) -> None:
        # In a thread, so that heartbeats are not late; one part at a time, so in order.
        await asyncio.to_thread(self._sha256.update, part)
        await self._upload.put_part(number, part)

    async def _arrived(self) -> None:
        if self._sending is not None:
            sending, self._sending = self._sending, None
            try:
                await sending
            except asyncio.CancelledError:
                sending.cancel()
                raise
