"""Serving the application with uvicorn until told to stop, patient with callers but not for ever.

`billfleet gateway` calls `serve`. A connection that does not finish the head of its first request
in time is closed, so that slow callers cannot hold all sockets; bodies are the guard's matter.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_TIMEOUT_S: Final = 10.0
KEEP_ALIVE_S: Final = 30
CONNECTIONS_MAX: Final = 2000
DRAIN_S: Final = 20


class ImpatientProtocol(HttpToolsProtocol):
    """uvicorn's own, with a limit on how long the head of a request may take."""

    head_timeout_s = HEAD_TIMEOUT_S
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn narrows it
        """Somebody connected: the head of a request is awaited."""
        super().connection_made(transport)
        self._await_head()

    def on_message_begin(self) -> None:
        """A request begins, perhaps on a connection that was kept alive."""
        super().on_message_begin()
        if self._head_timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """The head is here."""
        self._forget_head()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come."""
        self._forget_head()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout_s, self.transport.close)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class _Server(uvicorn.Server):
    """Stops on SIGTERM and SIGINT, and leaves the process to whoever runs it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own would raise the signal again, and kill us before everything is closed."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)


async def serve(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    trusted_proxies: str = "127.0.0.1",
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way.

    Raises:
        OSError: the port cannot be listened on.
    """
    config = uvicorn.Config(
        _announcing(app, ready),
        host=host,
        port=port,
        http=ImpatientProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=trusted_proxies,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
        limit_concurrency=CONNECTIONS_MAX,
    )
    server = _Server(config)
    try:
        await server.serve()
    except SystemExit as ended:
        # uvicorn leaves by the back door when it cannot bind.
        raise OSError(f"port {port} of {host} cannot be listened on") from ended
    if not server.started:
        raise OSError(f"port {port} of {host} cannot be listened on")


def _announcing(app: ASGIApp, ready: Callable[[], None]) -> ASGIApp:
    """The application, which says so once it has started."""

    async def announced(scope: Any, receive: Any, send: Any) -> None:
        async def told(message: Any) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                ready()

        await app(scope, receive, told if scope["type"] == "lifespan" else send)

    return announced
