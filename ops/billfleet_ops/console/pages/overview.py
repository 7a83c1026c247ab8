"""The overview: queues with their dead letters, processes, what waits; and one queue in detail."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billfleet_db import deliveries
from billfleet_ops.console.parts import console_of, page, problem

SETBACKS_OF_QUEUE_MAX = 50


def routes() -> list[Route]:
    """The pages here."""
    return [
        Route("/", overview),
        Route("/queues/{name}", queue),
    ]


async def overview(request: Request) -> Response:
    """All of the fleet."""
    return page(request, "overview.html")


async def queue(request: Request) -> Response:
    """One queue: charts, processes that read it, and its latest setbacks."""
    console, name = console_of(request), request.path_params["name"]
    seen = console.picture.queues.get(name)
    if seen is None:
        return problem(request, 404, f"There is no queue {name}.")
    async with console.database.transaction() as connection:
        setbacks = await deliveries.latest_setbacks(connection, SETBACKS_OF_QUEUE_MAX, name)
    return page(request, "queue.html", seen=seen, setbacks=setbacks)
