"""The audit table, one action with what came of it, and plans while they are made."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billfleet_db import actions
from billfleet_ops.console.parts import console_of, page, problem

SHOWN_MAX = 200
ROWS_SHOWN = 100


def routes() -> list[Route]:
    """The pages here."""
    return [
        Route("/actions", listed),
        Route("/actions/{job_id}", one),
        Route("/actions/{job_id}/part", part),
    ]


async def listed(request: Request) -> Response:
    """The newest first."""
    async with console_of(request).database.transaction() as connection:
        found = await actions.latest(connection, SHOWN_MAX)
    return page(request, "actions.html", actions=found)


async def one(request: Request) -> Response:
    """A plan or an action: going on, or over."""
    return await _shown(request, "action.html")


async def part(request: Request) -> Response:
    """Only what changes while it goes on."""
    return await _shown(request, "parts/action.html")


async def _shown(request: Request, template: str) -> Response:
    console, job_id = console_of(request), request.path_params["job_id"]
    job = console.acting.find(job_id)
    action = None
    if job_id.isdigit():
        async with console.database.transaction() as connection:
            action = await actions.one(connection, int(job_id))
    if job is None and action is None:
        return problem(request, 404, "There is no such action.", "Plans are not kept.")
    return page(request, template, job=job, action=action, job_id=job_id, rows_max=ROWS_SHOWN)
