"""Connections to one service for blocking code: kept open, shared by threads.

The twin of `wire`, over plain sockets: a call is a write and a read in the caller's own thread,
without an event loop. It must not know what is posted.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Final

from billfleet_producers.lean.http1 import (
    KEPT_IDLE_S,
    AnswerReader,
    BrokenAnswer,
    Destination,
    Reply,
)

_PIECE_BYTES: Final = 65_536


class BlockingWire:
    """Connections to one place. `headers` are those that every request has.

    Each thread that posts has a connection for itself; at most `connections_max` are kept.
    """

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
        # Threads share it: its `append` and `pop` are each one step.
        self._idle: list[_Connection] = []
        self._is_closed = False

    def post(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send one request and read its answer.

        Raises:
            StaleConnection: the kept connection that was used had been closed.
            OSError: no connection, or it broke. TimeoutError is one: no answer in time.
        """
        if self._is_closed:
            raise BrokenAnswer("the client has been closed")
        connection = self._kept() or self._connect()
        try:
            reply = connection.ask(self._destination.request(headers, body), self._read_timeout_s)
        except BaseException:
            # Whatever comes now belongs to nobody.
            connection.close()
            raise
        self._put_back(connection)
        return reply

    def close(self) -> None:
        """Close what is kept; what is under way ends first. Safe to call twice."""
        self._is_closed = True
        while (connection := self._take()) is not None:
            connection.close()

    def _kept(self) -> _Connection | None:
        while (connection := self._take()) is not None:
            if connection.is_usable():
                return connection
            connection.close()
        return None

    def _take(self) -> _Connection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _put_back(self, connection: _Connection) -> None:
        has_room = len(self._idle) < self._connections_max
        if connection.keeps_alive and has_room:
            self._idle.append(connection)
        else:
            connection.close()
        if self._is_closed:
            # By another thread, while this one waited for its answer.
            self.close()

    def _connect(self) -> _Connection:
        host = self._destination.host
        try:
            opened = socket.create_connection(
                (host, self._destination.port), timeout=self._connect_timeout_s
            )
        except OSError as error:
            raise self._destination.unreachable(error) from error
        try:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(OSError):
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._trusted is not None:
                opened = self._trusted.wrap_socket(opened, server_hostname=host)
        except ssl.SSLError:
            opened.close()
            raise
        except OSError as error:
            opened.close()
            raise self._destination.unreachable(error) from error
        return _Connection(opened)


class _Connection:
    """One connection, used by one thread at a time."""

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._reader = AnswerReader()
        self._process_id = os.getpid()
        self._idle_since_s = time.monotonic()
        self._arrivals = select.poll()
        self._arrivals.register(opened, select.POLLIN)

    @property
    def keeps_alive(self) -> bool:
        """Whether the far end has left it open."""
        return self._reader.keeps_alive

    def is_usable(self) -> bool:
        """Whether another request may be sent on it.

        Not in a process that was forked: its parent would read its answers. And not when there is
        something to read: the far end has closed it, or sends what nobody asked for.
        """
        is_ours = self._process_id == os.getpid()
        is_young = time.monotonic() - self._idle_since_s < KEPT_IDLE_S
        return is_ours and is_young and not self._arrivals.poll(0)

    def ask(self, request: bytes, timeout_s: float) -> Reply:
        """Send a request and wait for its answer."""
        until_s = time.monotonic() + timeout_s
        self._reader.expect()
        try:
            self._socket.settimeout(timeout_s)
            self._socket.sendall(request)
            while data := self._socket.recv(_PIECE_BYTES):
                if (reply := self._reader.feed(data)) is not None:
                    self._idle_since_s = time.monotonic()
                    return reply
                self._socket.settimeout(_left_s(until_s))
        except TimeoutError:
            raise TimeoutError("no answer in time") from None
        except BrokenAnswer:
            raise
        except OSError as error:
            raise self._reader.ended(error) from error
        raise self._reader.ended(None)

    def close(self) -> None:
        """Close it at once."""
        self._socket.close()


def _left_s(until_s: float) -> float:
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s
