"""Connections to one service on an event loop: kept open, one request at a time on each.

`JsonService` posts through it. A request is one write and costs no task. What goes wrong is an
OSError or a TimeoutError, and `StaleConnection` where the far end had closed a connection that we
kept. It must not know what is posted; `blocking_wire` is its twin.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Mapping
from typing import cast

from billfleet_producers.lean.http1 import (
    KEPT_IDLE_S,
    AnswerReader,
    BrokenAnswer,
    Destination,
    Reply,
    StaleConnection,
)


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
        self._destination = Destination.of(url, headers)
        self._trusted = trusted if self._destination.is_tls else None
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
        request = self._destination.request(headers, body)
        while self._taken >= self._connections_max:
            await self._turn()
        if self._is_closed:
            # Whoever waits behind us would wait for ever.
            self._wake_one()
            raise BrokenAnswer("the client has been closed")
        self._taken += 1
        try:
            connection = self._kept() or await self._connect()
            try:
                return await connection.ask(request, self._read_timeout_s)
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
                    self._destination.host,
                    self._destination.port,
                    ssl=self._trusted,
                    server_hostname=self._destination.host if self._trusted else None,
                )
        except ssl.SSLError:
            raise
        except OSError as error:
            raise self._destination.unreachable(error) from error
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
    """One connection, as the event loop drives it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = AnswerReader()
        self._answer: asyncio.Future[Reply] | None = None
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
        self._reader.expect()
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
        if self._answer is None or self._answer.done():
            # Nobody asked for it, so the connection can't be trusted any more.
            self.close()
            return
        try:
            reply = self._reader.feed(data)
        except BrokenAnswer as error:
            self._fail(error)
            return
        if reply is None:
            return
        self._idle_since_s = self._loop.time()
        if not self._reader.keeps_alive and self._transport is not None:
            self._transport.close()
        self._answer.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._transport = None
        self._fail(self._reader.ended(exc))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
