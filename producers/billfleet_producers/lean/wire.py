"""Connections to one service: HTTP/1.1, kept open, one request at a time on each.

`JsonService` posts through it. A request is one write and costs no task; the answer is read by
httptools. What goes wrong is an OSError or a TimeoutError, and `StaleConnection` where the far end
had closed a connection that we kept. It must not know what is posted.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Mapping
from typing import Final, cast
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpResponseParser

KEPT_IDLE_S: Final = 15.0
"""AWS closes what is idle for 20 s and more: be first, so that no request meets a closing door."""
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class StaleConnection(ConnectionError):
    """A kept connection ended before a byte of the answer: a new one may do at once."""


class Unreachable(ConnectionError):
    """Nobody answers at this address."""


class BrokenAnswer(ConnectionError):
    """The far end closed the connection, or does not speak HTTP, in the middle of an answer."""


class Reply:
    """An answer, read to its end. Header names are in lower case."""

    __slots__ = ("_headers", "payload", "status")

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], payload: bytes) -> None:
        self.status = status
        self._headers = headers
        self.payload = payload

    @property
    def headers(self) -> Mapping[str, str]:
        """Rarely looked at, so made when it is."""
        return {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._headers
        }


class Wire:
    """Connections to one place. `headers` are those that every request has."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        trusted: ssl.SSLContext | None,
        connections_max: int,
        connect_timeout_s: float,
        read_timeout_s: float,
    ) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or _DEFAULT_PORTS[parts.scheme]
        self._trusted = trusted if parts.scheme == "https" else None
        fixed = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._head = f"POST {parts.path or '/'} HTTP/1.1\r\n{fixed}"
        self._connections_max = connections_max
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_closed = False

    async def post(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send one request and read its answer.

        Raises:
            StaleConnection: the kept connection that was used had been closed.
            OSError: no connection, or it broke. TimeoutError is one: no answer in time.
        """
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = f"{self._head}{lines}Content-Length: {len(body)}\r\n\r\n"
        while self._taken >= self._connections_max:
            await self._turn()
        if self._is_closed:
            raise BrokenAnswer("the client has been closed")
        self._taken += 1
        try:
            connection = self._kept() or await self._connect()
            try:
                return await connection.ask(head.encode("latin-1") + body, self._read_timeout_s)
            finally:
                self._put_back(connection)
        finally:
            self._taken -= 1
            self._wake_one()

    async def close(self) -> None:
        """Close all connections, whatever is on them. Safe to call twice."""
        self._is_closed = True
        for connection in tuple(self._open):
            connection.close()
        self._open.clear()
        self._idle.clear()

    def _kept(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable():
                return connection
            self._drop(connection)
        return None

    def _put_back(self, connection: _Connection) -> None:
        if connection.is_usable() and not self._is_closed:
            self._idle.append(connection)
        else:
            self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        connection.close()
        self._open.discard(connection)

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                transport, connection = await loop.create_connection(
                    _Connection,
                    self._host,
                    self._port,
                    ssl=self._trusted,
                    server_hostname=self._host if self._trusted else None,
                )
        except ssl.SSLError:
            raise
        except OSError as error:
            why = "no connection in time" if isinstance(error, TimeoutError) else str(error)
            raise Unreachable(f"{self._host}:{self._port}: {why}") from error
        if self._is_closed:
            connection.close()
            raise BrokenAnswer("the client has been closed")
        keeping: socket.socket | None = transport.get_extra_info("socket")
        if keeping is not None:
            with contextlib.suppress(OSError):
                keeping.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._open.add(connection)
        return connection

    async def _turn(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._wake_one()
            raise

    def _wake_one(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return


class _Connection(asyncio.Protocol):
    """One connection. The parser calls `on_...`, the event loop the rest."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._answer: asyncio.Future[Reply] | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._chunks: list[bytes] = []
        self._answers = 0
        self._has_begun = False
        self._idle_since_s = self._loop.time()

    def is_usable(self) -> bool:
        """Whether another request may be sent on it."""
        return (
            self._transport is not None
            and not self._transport.is_closing()
            and self._answer is None
            and self._loop.time() - self._idle_since_s < KEPT_IDLE_S
        )

    async def ask(self, request: bytes, timeout_s: float) -> Reply:
        """Send a request and wait for its answer."""
        if self._transport is None:
            raise StaleConnection("the connection has been closed")
        answer: asyncio.Future[Reply] = self._loop.create_future()
        self._answer = answer
        self._headers, self._chunks, self._has_begun = [], [], False
        timer = self._loop.call_later(timeout_s, self._fail, TimeoutError("no answer in time"))
        self._transport.write(request)
        try:
            return await answer
        except BaseException:
            # Whatever comes now belongs to nobody.
            self.close()
            raise
        finally:
            timer.cancel()
            self._answer = None

    def close(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The event loop has connected us."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """A piece of an answer."""
        if self._answer is None:
            self.close()
            return
        self._has_begun = True
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            self._fail(BrokenAnswer(f"no HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._transport = None
        if self._answers and not self._has_begun:
            self._fail(StaleConnection("the far end had closed the connection"))
        elif isinstance(exc, OSError):
            self._fail(exc)
        else:
            self._fail(BrokenAnswer("the far end closed the connection"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser has read a header."""
        self._headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        """The parser has read a piece of the body."""
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        """The parser has read an answer to its end."""
        status = self._parser.get_status_code()
        if status < 200:
            self._headers, self._chunks = [], []
            return
        self._answers += 1
        self._idle_since_s = self._loop.time()
        if not self._parser.should_keep_alive() and self._transport is not None:
            self._transport.close()
        if self._answer is not None and not self._answer.done():
            payload = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            self._answer.set_result(Reply(status, self._headers, payload))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
