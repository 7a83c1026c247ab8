"""Whether the front door lives, whether it is ready, and what its problems mean."""

from __future__ import annotations

from html import escape
from typing import cast

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from billfleet_db.errors import DatabaseError
from billfleet_gateway.answers import shown
from billfleet_gateway.door import TheDoor
from billfleet_gateway.fields import View
from billfleet_gateway.pages import page
from billfleet_gateway.problems import KINDS, Slug, not_found, unavailable

router = APIRouter(tags=["operations"])


class Health(View):
    """It is well."""

    status: str = "ok"


@router.get("/livez", response_model=Health)
async def live() -> Response:
    """The process answers."""
    return shown(Health())


@router.get("/readyz", response_model=Health)
async def ready(door: TheDoor) -> Response:
    """The database answers as well."""
    try:
        await door.database.ping()
    except DatabaseError:
        raise unavailable("The database", door.options.retry_after_s) from None
    return shown(Health())


@router.get("/problems/{slug}", include_in_schema=False)
async def explain(slug: str) -> HTMLResponse:
    """The page that a problem's type points to."""
    if slug not in KINDS:
        raise not_found("problem")
    kind = KINDS[cast("Slug", slug)]
    return page(kind.title, f"<p>Status {kind.status}. {escape(kind.remedy)}</p>")
