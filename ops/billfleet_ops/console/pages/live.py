"""Live updates: a page's changing part is sent again when the picture has changed.

One stream a page, as server-sent events, which the htmx extension puts in place.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billfleet_ops.console.parts import Console, console_of, page, problem

QUIET_S = 30.0


def routes() -> list[Route]:
    """The streams here."""
    return [Route("/live/overview", overview), Route("/live/queues/{name}", queue)]


async def overview(request: Request) -> Response:
    """The overview's tables."""
    return EventSourceResponse(_parts(request, "parts/overview.html", {}))


async def queue(request: Request) -> Response:
    """One queue's figures and charts."""
    seen = console_of(request).picture.queues.get(request.path_params["name"])
    if seen is None:
        return problem(request, 404, "There is no such queue.")
    return EventSourceResponse(_parts(request, "parts/queue.html", {"seen": seen}))


async def _parts(
    request: Request, template: str, values: dict[str, Any]
) -> AsyncIterator[ServerSentEvent]:
    console = console_of(request)
    while True:
        await _next_picture(console)
        html = bytes(page(request, template, **values).body).decode()
        yield ServerSentEvent(html, event="part")


async def _next_picture(console: Console) -> None:
    try:
        await asyncio.wait_for(console.watch.changed(), QUIET_S)
    except TimeoutError:
        return
