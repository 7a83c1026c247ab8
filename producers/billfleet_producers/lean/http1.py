"""HTTP/1.1 without I/O: a request as bytes, an answer from the pieces in which it comes.

Both wires use it, the one of the event loop and the blocking one, so that an answer and its end
mean the same to both. It must not know sockets, nor what is posted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

KEPT_IDLE_S: Final = 15.0
"""AWS closes what is idle for 20 s and more: be first, so that no request meets a closing door."""
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class StaleConnection(ConnectionError):
    """A kept connection ended before a byte of the answer: a new one may do at once."""


class Unreachable(ConnectionError):
    """Nobody answers at this address."""


class BrokenAnswer(ConnectionError):
    """The far end closed the connection, or does not speak HTTP, in the middle of an answer."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where requests go, and how each of them begins."""

    host: str
    port: int
    is_tls: bool
    head: str

    @classmethod
    def of(cls, url: str, headers: Mapping[str, str]) -> Self:
        """That of a URL. `headers` are those that every request has."""
        parts = urlsplit(url)
        fixed = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return cls(
            parts.hostname or "",
            parts.port or _DEFAULT_PORTS[parts.scheme],
            parts.scheme == "https",
            f"POST {parts.path or '/'} HTTP/1.1\r\n{fixed}",
        )

    def request(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """A whole request, so that it is one write."""
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = f"{self.head}{lines}Content-Length: {len(body)}\r\n\r\n"
        return head.encode("latin-1") + body

    def unreachable(self, error: OSError) -> Unreachable:
        """What it means that there is no connection."""
        why = "no connection in time" if isinstance(error, TimeoutError) else str(error)
        return Unreachable(f"{self.host}:{self.port}: {why}")


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


class AnswerReader:
    """Reads the answers of one connection, one after the other. The parser calls `on_...`."""

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._chunks: list[bytes] = []
        self._reply: Reply | None = None
        self._has_begun = False
        self._answers = 0
        self.keeps_alive = True
        """Whether another request may be sent on the connection."""

    def expect(self) -> None:
        """A request leaves: the next answer is its."""
        self._reply, self._has_begun = None, False

    def feed(self, data: bytes) -> Reply | None:
        """Read a piece; returns the answer once it is whole.

        Raises:
            BrokenAnswer: this is no HTTP.
        """
        self._has_begun = True
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            raise BrokenAnswer(f"no HTTP: {error}") from error
        return self._reply

    def ended(self, error: Exception | None) -> Exception:
        """What it means that the connection is gone, and no answer was whole."""
        if self._answers and not self._has_begun:
            return StaleConnection("the far end had closed the connection")
        if isinstance(error, OSError):
            return error
        return BrokenAnswer("the far end closed the connection")

    def on_message_begin(self) -> None:
        """The parser sees an answer begin; one that nobody asked for spoils the connection."""
        if self._reply is not None:
            self.keeps_alive = False
        self._headers, self._chunks = [], []

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser has read a header."""
        self._headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        """The parser has read a piece of the body."""
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        """The parser has read an answer to its end."""
        status = self._parser.get_status_code()
        if status < 200 or self._reply is not None:
            return
        self._answers += 1
        self.keeps_alive = self.keeps_alive and self._parser.should_keep_alive()
        payload = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._reply = Reply(status, self._headers, payload)
