"""Links that mails point to: open a file, want no more marketing. Pages for people.

A token says what was signed; whether it still holds is asked of the database at every click. A
visit to an unsubscribe page changes nothing, because machines visit links too (R53); its button,
or the one-click POST of RFC 8058, does.
"""

from __future__ import annotations

from html import escape
from typing import Final
from urllib.parse import parse_qs
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from billfleet_contracts.links import Link, LinkExpired, LinkForged, LinkKind, read_link
from billfleet_db import consents, files, tenants
from billfleet_db.consents import Decision, Purpose
from billfleet_db.files import File
from billfleet_db.mail import recipients
from billfleet_gateway.door import Door, TheDoor
from billfleet_gateway.pages import page
from billfleet_gateway.problems import unavailable

router = APIRouter(include_in_schema=False)
OPEN_S = 60
MARKETING: Final[Purpose] = "marketing"


@router.get("/f/{token}", response_class=HTMLResponse, response_model=None)
async def open_file(token: str, door: TheDoor) -> Response:
    """Send the reader to the file, for a minute (R84); or say that it is gone (R85)."""
    link = _read(door, token, "file")
    if isinstance(link, Response):
        return link
    async with door.of_tenant(link.tenant) as connection:
        file_id = _uuid(link.subject)
        file = None if file_id is None else await files.find(connection, link.tenant, file_id)
    standing = files.standing(file, door.now())
    if file is None or standing == "missing":
        return _unknown()
    if standing != "available":
        return _gone()
    return RedirectResponse(
        await _address(door, file),
        302,
        headers={"Cache-Control": "no-store", "X-Robots-Tag": "noindex"},
    )


@router.get("/u/{token}", response_class=HTMLResponse, response_model=None)
async def ask_to_unsubscribe(token: str, door: TheDoor) -> Response:
    """Ask; nothing is changed by looking."""
    link = _read(door, token, "unsubscribe")
    if isinstance(link, Response):
        return link
    name = await _tenant_name(door, link)
    return page(
        "Do you want no more of these mails?",
        f"<p><strong>{escape(name)}</strong> will send you no more offers and news. Bills and "
        "mails that you ask for still come.</p>"
        '<form method="post"><input type="hidden" name="confirm" value="1">'
        "<button>Send me no more of these</button></form>",
    )


@router.post("/u/{token}", response_class=HTMLResponse, response_model=None)
async def unsubscribe(token: str, request: Request, door: TheDoor) -> Response:
    """Take the reader's word: by the button, or in one click by the mail program (RFC 8058)."""
    link = _read(door, token, "unsubscribe")
    if isinstance(link, Response):
        return link
    said = parse_qs((await request.body()).decode("utf-8", "replace"))
    if said.get("List-Unsubscribe") != ["One-Click"] and said.get("confirm") != ["1"]:
        return page("Nothing was changed", "<p>The request did not say what to do.</p>", status=400)
    purpose, _, customer_id = link.subject.partition(":")
    if purpose != MARKETING or not customer_id:
        return _unknown()
    async with door.of_tenant(link.tenant) as connection:
        if await recipients.read(connection, link.tenant, "customer", customer_id) is None:
            return _unknown()
        refusal = Decision(customer_id, MARKETING, is_given=False, decided_at=door.now())
        await consents.decide(connection, link.tenant, [refusal])
    return page("You will get no more of these mails", "<p>It may take a few minutes.</p>")


def _read(door: Door, token: str, kind: LinkKind) -> Link | HTMLResponse:
    secrets = door.options.link_secrets
    if not secrets:
        return _unknown()
    try:
        return read_link(token, secrets, door.now(), kind=kind)
    except LinkForged:
        return _unknown()
    except LinkExpired:
        return _gone()


async def _address(door: Door, file: File) -> str:
    if door.files is None:
        raise unavailable("The file store", door.options.retry_after_s)
    return await door.files.address_to_read(
        file.object_key,
        expires_s=OPEN_S,
        file_name=file.file_name,
        content_type=file.content_type,
    )


async def _tenant_name(door: Door, link: Link) -> str:
    async with door.of_tenant(link.tenant) as connection:
        tenant = await tenants.get_tenant(connection, link.tenant)
    return tenant.name if tenant else "The sender"


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _unknown() -> HTMLResponse:
    return page(
        "This link is not known",
        "<p>Perhaps it was cut short on its way. Open it from the mail once more, or ask for a "
        "new one.</p>",
        status=404,
    )


def _gone() -> HTMLResponse:
    return page(
        "This link has expired",
        "<p>What it led to is no longer here. You can ask for a new one where you asked for "
        "this.</p>",
        status=410,
    )
