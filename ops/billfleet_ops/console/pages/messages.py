"""One dead message: why it is dead, what would become of it; mend it, bring it home."""

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billfleet_ops.console.acting import Asked, names_of
from billfleet_ops.console.pages.dead_letters import facts_of
from billfleet_ops.console.parts import acting_form, console_of, go, page, problem
from billfleet_ops.replay import editing
from billfleet_ops.replay.looking import plan_one
from billfleet_ops.replay.plan import MEANINGS, Planned, upcast_body
from billfleet_ops.replay.reading import Reading, read
from billfleet_ops.replay.session import permissions_named

HISTORY = ("attempt", "origin", "buried_at", "first_sent_at", "original_message_id", "replay_run")


def routes() -> list[Route]:
    """The pages here."""
    path = "/dead-letters/{queue}/{message_id}"
    return [
        Route(path, one),
        Route(f"{path}/edit", edit),
        Route(f"{path}/edit", check, methods=["POST"]),
        Route(f"{path}/mend", mend, methods=["POST"]),
        Route(f"{path}/replay", replay, methods=["POST"]),
    ]


def _reading(request: Request) -> Reading | None:
    look = console_of(request).looks.latest.get(request.path_params["queue"])
    return look.find(request.path_params["message_id"]) if look else None


def _gone(request: Request) -> Response:
    facts = facts_of(console_of(request), request.path_params["queue"])
    return page(
        request,
        "message_gone.html",
        status=404,
        facts=facts,
        message_id=request.path_params["message_id"],
    )


async def _plan(request: Request, reading: Reading) -> Planned:
    console = console_of(request)
    facts = facts_of(console, request.path_params["queue"])
    with permissions_named():
        return await plan_one(console.replay, facts, reading, None)


async def one(request: Request) -> Response:
    """All of it."""
    reading = _reading(request)
    if reading is None:
        return _gone(request)
    current = upcast_body(reading)
    return page(
        request,
        "message.html",
        queue=request.path_params["queue"],
        reading=reading,
        plan=await _plan(request, reading),
        meanings=MEANINGS,
        history=HISTORY,
        upcast=editing.difference(reading.message.body, current).splitlines()
        if current != reading.message.body
        else [],
        kind=_kind(reading.message.body),
    )


def _kind(body: str) -> str:
    """Whether a body is text that people read, or bytes that were made into text."""
    strange = sum(not (char.isprintable() or char.isspace()) for char in body[:2000])
    return "binary" if strange > 20 else "text"


async def edit(request: Request) -> Response:
    """The body, to be changed."""
    reading = _reading(request)
    if reading is None:
        return _gone(request)
    return _editor(request, reading, editing.for_reading(reading.message.body), checked=False)


async def check(request: Request) -> Response:
    """The contract's word on a changed body, the difference, and what would become of it."""
    _, form = await acting_form(request)
    reading = _reading(request)
    if reading is None:
        return _gone(request)
    text = form.get("body", "").replace("\r\n", "\n")
    edited = read(replace(reading.message, body=editing.packed(text)))
    plan = await _plan(request, edited)
    return _editor(request, reading, text, checked=True, plan=plan)


def _editor(
    request: Request, reading: Reading, text: str, *, checked: bool, plan: Planned | None = None
) -> Response:
    body = editing.packed(text)
    return page(
        request,
        "edit.html",
        queue=request.path_params["queue"],
        reading=reading,
        text=text,
        checked=checked,
        plan=plan,
        objection=editing.objection(body) if checked else None,
        is_changed=body != editing.packed(reading.message.body),
        difference=editing.difference(reading.message.body, body).splitlines() if checked else [],
        meanings=MEANINGS,
    )


async def mend(request: Request) -> Response:
    """Send the changed body, and take the original out."""
    operator, form = await acting_form(request)
    reading = _reading(request)
    if reading is None:
        return _gone(request)
    text = form.get("body", "").replace("\r\n", "\n")
    if editing.objection(editing.packed(text)) is not None:
        return problem(request, 422, "The body breaks its contract, so it was not sent.")
    console, queue = console_of(request), request.path_params["queue"]
    edited = read(replace(reading.message, body=editing.packed(text)))
    names = (*names_of(reading), *names_of(edited))
    asked = Asked(facts_of(console, queue), message_id=reading.id, names=names)
    body = reading.message.body
    job = await console.acting.mend(operator, asked, body, editing.packed(text))
    return go(f"/actions/{job.job_id}")


async def replay(request: Request) -> Response:
    """Bring it home as it is."""
    operator, form = await acting_form(request)
    reading = _reading(request)
    if reading is None:
        return _gone(request)
    console, queue = console_of(request), request.path_params["queue"]
    asked = Asked(
        facts_of(console, queue),
        message_id=reading.id,
        names=names_of(reading),
        resend_uncertain=form.get("resend_uncertain") == "yes",
        even_unreadable=form.get("even_unreadable") == "yes",
    )
    job = await console.acting.replay(operator, asked)
    return go(f"/actions/{job.job_id}")
