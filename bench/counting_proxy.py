"""Counts the calls of a contestant: a TCP relay that looks for the header naming each operation.

`consume.py` puts it before DynamoDB's endpoint in a short run of its own, because whatever stands
in between costs time. The queue endpoint counts its own calls. It must not change a byte.
"""

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_TARGET = re.compile(rb"x-amz-target: *[A-Za-z0-9_]+\.([A-Za-z]+)\r\n", re.IGNORECASE)
_HEADER_BYTES_MAX = 120


class CountingProxy:
    """Relays to one port of this machine."""

    def __init__(self, port: int) -> None:
        self._to_port = port
        self.counts: Counter[str] = Counter()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()

    def run(self) -> None:
        """Relay until `stop`; in a thread of its own."""
        self._loop.run_until_complete(self._open())
        self._ready.set()
        self._loop.run_forever()

    def wait_ready(self) -> None:
        """Wait until `port` is known."""
        self._ready.wait()

    def stop(self) -> None:
        """End `run`."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _open(self) -> None:
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to_port)
        await asyncio.gather(self._copy(reader, back, is_request=True), self._copy(there, writer))

    async def _copy(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_request: bool = False
    ) -> None:
        tail = b""
        try:
            while data := await source.read(1 << 16):
                if is_request:
                    tail = self._count(tail + data)
                sink.write(data)
        except ConnectionError:
            return
        finally:
            sink.close()

    def _count(self, data: bytes) -> bytes:
        """Count what is whole; returns what may be the beginning of another."""
        end = 0
        for found in _TARGET.finditer(data):
            self.counts[found.group(1).decode()] += 1
            end = found.end()
        return data[max(end, len(data) - _HEADER_BYTES_MAX) :]


@contextmanager
def counting(port: int) -> Iterator[CountingProxy]:
    """A proxy for the duration of the block."""
    proxy = CountingProxy(port)
    thread = threading.Thread(target=proxy.run, daemon=True)
    thread.start()
    proxy.wait_ready()
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join(timeout=5)
