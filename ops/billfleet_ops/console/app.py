"""The web application: pages, live updates and static files behind the checks of `security`.

`serving` runs it; tests call it without a socket. Pages are modules of `pages`, each with its
`routes`.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billfleet_db.errors import DatabaseError
from billfleet_ops.console import assets, security
from billfleet_ops.console.pages import (
    accounts,
    action_log,
    cards,
    dead_letters,
    life,
    live,
    mails,
    messages,
    overview,
    records,
    signing_in,
)
from billfleet_ops.console.parts import Console, FormRefused, problem
from billfleet_ops.endings import as_operator_error
from billfleet_ops.errors import OpsError
from billfleet_workers.runtime.errors import Unavailable

PAGES = (
    overview,
    live,
    dead_letters,
    messages,
    life,
    accounts,
    cards,
    mails,
    records,
    action_log,
    signing_in,
)


def build(console: Console, *, hosts: Sequence[str]) -> ASGIApp:
    """The application over these parts, answering for these host names."""
    routes: list[Route] = [route for page in PAGES for route in page.routes()]
    routes += assets.routes()
    app = Starlette(
        routes=routes,
        lifespan=lambda _: _closing(console),
        exception_handlers={
            HTTPException: _http_problem,
            FormRefused: _refused,
            DatabaseError: _operator_problem,
            OpsError: _operator_problem,
            Unavailable: _operator_problem,
        },
    )
    app.state.console = console
    return Checks(app, frozenset(hosts))


def _closing(console: Console) -> AbstractAsyncContextManager[None]:
    @asynccontextmanager
    async def closing() -> AsyncIterator[None]:
        yield
        await console.acting.close()
        await console.looks.close()

    return closing()


class Checks:
    """Every request's host and origin, and every answer's headers."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Request(scope))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in security.HEADERS.items():
                    headers.setdefault(name, value)
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        if not security.is_host_ours(request.headers, self._hosts):
            return PlainTextResponse("This console does not answer for that host.\n", 421)
        is_safe = request.method in security.SAFE_METHODS
        if not is_safe and not security.is_same_origin(request.headers, request.url.scheme):
            return PlainTextResponse("This request does not come from the console.\n", 403)
        return None


async def _http_problem(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    what = {404: "There is no such page.", 405: "This page does not take that."}
    return problem(request, status, what.get(status, "That did not work."))


async def _refused(request: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, FormRefused) else 400
    return problem(request, status, str(error))


async def _operator_problem(request: Request, error: Exception) -> Response:
    known = as_operator_error(error)
    if known is None:
        return problem(request, 500, str(error))
    return problem(request, 503, f"{known.what} ({known.where})", known.remedy)
