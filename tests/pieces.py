"""A web server on loopback whose answer comes in pieces, as large ones do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PACE_S = 0.02


class Pieces:
    """Answers every request with these pieces, one after the other."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self.requests = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        length = sum(map(len, self._pieces))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
        for piece in self._pieces:
            await writer.drain()
            await asyncio.sleep(PACE_S)
            writer.write(piece)
        writer.close()


@asynccontextmanager
async def serving(*pieces: bytes) -> AsyncIterator[Pieces]:
    """The server while the block runs."""
    far = Pieces(*pieces)
    server = await asyncio.start_server(far.serve, "127.0.0.1", 0)
    far.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield far
    finally:
        server.close()
