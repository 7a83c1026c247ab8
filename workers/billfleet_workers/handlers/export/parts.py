"""Bytes become the parts of an upload, and whoever writes them waits for the store.

Writers of formats call `write`. Some parts are on their way while the next one fills, and no more
are begun: so that memory is bound by the size of a part, however many rows there are. It also
counts and hashes what goes by. It knows no format.
"""

import asyncio
import hashlib
from collections import deque
from typing import Final

from billfleet_workers.handlers.export.errors import ExportRefused
from billfleet_workers.runtime.ports.objects import PARTS_MAX, Upload

PART_BYTES: Final = 5 * 1024 * 1024
BYTES_MAX: Final = PART_BYTES * PARTS_MAX
ON_THEIR_WAY_MAX: Final = 2
"""A store answers a part late; two at a time, and the next one filling, keep the line busy."""


class PartWriter:
    """The sink of one export. `rows_seen` is for progress; the writer of the format sets it."""

    def __init__(self, upload: Upload, part_bytes: int = PART_BYTES) -> None:
        self.rows_seen = 0
        self.bytes_count = 0
        self.parts = 0
        self._upload = upload
        self._part_bytes = part_bytes
        self._filling = bytearray()
        self._sending: deque[asyncio.Task[None]] = deque()
        self._sha256 = hashlib.sha256()

    async def write(self, data: bytes) -> None:
        """Take bytes; waits when a part is full and those before have not arrived yet."""
        self._filling += data
        self._sha256.update(data)
        if len(self._filling) >= self._part_bytes:
            await self._send()

    async def finish(self) -> str:
        """Send what is left and wait until all has arrived; returns the SHA-256 of everything."""
        if self._filling or self.parts == 0:
            await self._send()
        await self._wait_until_left(0)
        return self._sha256.hexdigest()

    async def stop(self) -> None:
        """Leave what is on its way; the upload is about to be aborted."""
        for sending in self._sending:
            sending.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _send(self) -> None:
        if self.parts == PARTS_MAX:
            raise ExportRefused(
                f"the file would be larger than {BYTES_MAX // 2**30} GiB; narrow the filters"
            )
        await self._wait_until_left(ON_THEIR_WAY_MAX - 1)
        # The buffer itself goes, whole: parts need not be of one size, and nothing is copied.
        part, self._filling = self._filling, bytearray()
        self.parts += 1
        self.bytes_count += len(part)
        self._sending.append(asyncio.create_task(self._upload.put_part(self.parts, part)))

    async def _wait_until_left(self, count: int) -> None:
        """Wait for the oldest until no more than so many are on their way."""
        while len(self._sending) > count:
            await self._sending[0]
            self._sending.popleft()
