"""What every page works with, in one place, and how a page is rendered.

`app` puts it together; pages take it from the application's state. It decides nothing.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from billfleet_db import Database
from billfleet_ops.console.acting import Acting
from billfleet_ops.console.looks import Looks
from billfleet_ops.console.picture import Picture
from billfleet_ops.console.security import COOKIE, Sessions, is_own_form
from billfleet_ops.console.security import Session as Operator
from billfleet_ops.console.watching import Watch
from billfleet_ops.replay.session import Session

FORM_BYTES_MAX = 3 * 1024 * 1024
"""A body of 1 MiB, percent-encoded."""


@dataclass(frozen=True)
class Console:
    """The parts of a console."""

    watch: Watch
    looks: Looks
    acting: Acting
    sessions: Sessions
    database: Database
    replay: Session
    templates: Environment
    catch_up_periods_max: int
    read_mail: Callable[[str], Awaitable[bytes | None]]
    """The copy of a mail, by its object's key; None where there is none any more."""

    @property
    def picture(self) -> Picture:
        """The fleet as it was seen last."""
        return self.watch.picture

    def now(self) -> datetime:
        """The present."""
        return self.replay.clock.now()


class FormRefused(Exception):
    """A form that is too large, not ours, or sent without a session. `status` says which."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status


def console_of(request: Request) -> Console:
    """The parts, for a page."""
    console: Console = request.app.state.console
    return console


def operator_of(request: Request) -> Operator | None:
    """Who acts, if somebody has shown the token."""
    console = console_of(request)
    return console.sessions.find(request.cookies.get(COOKIE), console.now())


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a template with what every page shows."""
    console = console_of(request)
    given = {
        "request": request,
        "picture": console.picture,
        "operator": operator_of(request),
        "acts": console.sessions.acts,
        "now": console.now(),
        "path": request.url.path,
        **values,
    }
    return HTMLResponse(console.templates.get_template(template).render(given), status_code=status)


def problem(request: Request, status: int, what: str, remedy: str = "") -> HTMLResponse:
    """A page that says what is wrong and what to do."""
    return page(request, "problem.html", status=status, what=what, remedy=remedy)


def go(path: str) -> Response:
    """On to another page after a form."""
    return RedirectResponse(path, status_code=303)


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES_MAX:
            raise FormRefused(413, "The form is too large.")
    fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=50)
    return {name: values[-1] for name, values in fields.items()}


async def acting_form(request: Request) -> tuple[Operator, dict[str, str]]:
    """The session and the fields of a form that acts."""
    operator = operator_of(request)
    if operator is None:
        raise FormRefused(403, "Acting needs the token that the console printed when it started.")
    form = await form_of(request)
    if not is_own_form(operator, form.get("form_secret", "")):
        raise FormRefused(403, "The form is not of this session. Open the page again.")
    return operator, form
