"""Puts the front door together: routes, guard, and what each kind of error becomes.

`billfleet gateway` calls `create_app`; so do the tests, with their own parts. Nothing is decided
here that a route decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from billfleet_db import front_door
from billfleet_db.errors import (
    DatabaseError,
    DatabaseMisconfigured,
    DatabaseUnavailable,
    IntegrityRefused,
    SerializationConflict,
)
from billfleet_gateway.callers import Reception
from billfleet_gateway.document import TITLE, VERSION, describe
from billfleet_gateway.door import Door
from billfleet_gateway.guard import Guard
from billfleet_gateway.problems import FieldProblem, Problem, Slug, problem_response, unavailable
from billfleet_gateway.routes import ROUTERS

PRUNE_EVERY_S = 600.0
PRUNED_AT_ONCE_MAX = 10_000
_BY_STATUS: dict[int, Slug] = {
    400: "malformed",
    401: "unauthenticated",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-type",
}
_log = structlog.get_logger("billfleet.gateway")


def create_app(door: Door) -> FastAPI:
    """The application over these parts."""
    app = FastAPI(
        title=TITLE,
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        lifespan=_living,
        redirect_slashes=False,
    )
    app.state.door = door
    app.state.reception = Reception(door)
    for router in ROUTERS:
        app.include_router(router)
    app.add_middleware(Guard, options=door.options)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(DatabaseError, _on_database)
    described: Callable[[], dict[str, Any]] = lambda: describe(app)  # noqa: E731 - it replaces a method
    app.openapi = described  # type: ignore[method-assign] # FastAPI's own way to replace it
    return app


@asynccontextmanager
async def _living(app: FastAPI) -> AsyncIterator[None]:
    pruning = asyncio.create_task(_prune(app.state.door))
    try:
        yield
    finally:
        pruning.cancel()
        await asyncio.gather(pruning, return_exceptions=True)


async def _prune(door: Door) -> None:
    """Forget first answers that nobody repeats any more, a part at a time."""
    while True:
        await door.sleep(PRUNE_EVERY_S)
        try:
            async with door.database.transaction() as connection:
                before = door.now() - door.options.first_answers_kept
                await front_door.prune_answers(connection, before, PRUNED_AT_ONCE_MAX)
        except DatabaseError as error:
            _log.warning("prune_waits", reason=str(error))


def _respond(request: Request, problem: Problem) -> Response:
    return problem_response(problem, request.state.request_id)


async def _on_http(request: Request, error: Exception) -> Response:
    if isinstance(error, Problem):
        return _respond(request, error)
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    slug = _BY_STATUS.get(error.status_code, "malformed" if error.status_code < 500 else "defect")
    return _respond(request, Problem(slug, _said(slug), headers=error.headers or {}))


def _said(slug: Slug) -> str:
    return {
        "not-found": "There is nothing at this address.",
        "method-not-allowed": "This address has no such method.",
        "malformed": "The body cannot be read as JSON.",
    }.get(slug, "The request cannot be served.")


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return _respond(request, Problem("malformed", "The body is not JSON."))
    if _is_other_media(request):
        return _respond(request, Problem("unsupported-type", "The body is not application/json."))
    fields = [
        FieldProblem(
            where=".".join(str(part)[:64] for part in one["loc"]),
            reason=str(one["msg"]).removeprefix("Value error, ")[:300],
        )
        for one in found[:20]
    ]
    return _respond(request, Problem("invalid", "Some fields break the schema.", errors=fields))


def _is_other_media(request: Request) -> bool:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = given == "application/json" or given.endswith("+json")
    return request.method == "POST" and not is_json


async def _on_database(request: Request, error: Exception) -> Response:
    door: Door = request.app.state.door
    away = unavailable("The database", door.options.retry_after_s)
    match error:
        case SerializationConflict():
            problem = Problem(
                "in-progress", "Another request was in the way.", headers={"Retry-After": "1"}
            )
        case IntegrityRefused():
            problem = Problem("conflict", "It contradicts what is recorded.")
        case DatabaseUnavailable() | DatabaseMisconfigured():
            _log.error("database_away", reason=str(error), request_id=request.state.request_id)
            problem = away
        case _:
            problem = away
    return _respond(request, problem)
