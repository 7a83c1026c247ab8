"""The guard before the application: request ids, the size and pace of bodies, last words.

Every request passes it first. It reads a body before anything else does, within bytes and seconds,
and what escapes the application becomes a problem without a traceback. It must not know routes.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billfleet_gateway.door import Options
from billfleet_gateway.problems import Problem, problem_response

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_HEADERS: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
_log = structlog.get_logger("billfleet.gateway")


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, options: Options) -> None:
        self._app = app
        self._options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        has_begun = False

        async def marked(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                message["headers"] = [
                    *message.get("headers", []),
                    (b"x-request-id", request_id.encode()),
                    *_HEADERS,
                ]
            await send(message)

        try:
            await self._app(scope, await self._with_body(scope, receive), marked)
        except Problem as problem:
            await problem_response(problem, request_id)(scope, receive, marked)
        except Exception as error:  # noqa: BLE001 - the last place where a caller can be answered
            _log.error(
                "request_failed",
                request_id=request_id,
                method=scope["method"],
                # Its route and not its path, which may be a link that opens something.
                path=getattr(scope.get("route"), "path", "unknown"),
                error=f"{type(error).__name__}: {error}",
                exc_info=error,
            )
            if not has_begun:
                defect = Problem("defect", "Nothing is known of what was done; look, then retry.")
                await problem_response(defect, request_id)(scope, receive, marked)

    async def _with_body(self, scope: Scope, receive: Receive) -> Receive:
        """Read the body; returns what gives it to the application, and then listens on."""
        if scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            return receive
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._options.body_bytes_max:
            raise self._too_large()
        try:
            async with asyncio.timeout(self._options.body_timeout_s):
                body = await self._read(receive)
        except TimeoutError:
            raise Problem(
                "timeout", "The body did not arrive in time.", headers={"Connection": "close"}
            ) from None
        is_given = False

        async def again() -> Message:
            nonlocal is_given
            if is_given:
                return await receive()
            is_given = True
            return {"type": "http.request", "body": body, "more_body": False}

        return again

    async def _read(self, receive: Receive) -> bytes:
        parts: list[bytes] = []
        bytes_count = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Problem("malformed", "The connection ended before the body did.")
            part = message.get("body", b"")
            bytes_count += len(part)
            if bytes_count > self._options.body_bytes_max:
                raise self._too_large()
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)

    def _too_large(self) -> Problem:
        limit = self._options.body_bytes_max
        return Problem(
            "too-large", f"A body has at most {limit} bytes.", headers={"Connection": "close"}
        )


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            given: bytes = value
            return given.decode()
    return secrets.token_hex(12)
