"""Showing the token: a session begins for whoever has it, with the name that actions carry."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billfleet_ops.console.parts import acting_form, console_of, form_of, go, page, problem
from billfleet_ops.console.security import COOKIE, SESSION_LIFE

NAME_CHARS_MAX = 80


def routes() -> list[Route]:
    """The pages here."""
    return [
        Route("/enter", show),
        Route("/enter", enter, methods=["POST"]),
        Route("/leave", leave, methods=["POST"]),
    ]


async def show(request: Request) -> Response:
    """The form."""
    return page(request, "enter.html", token=request.query_params.get("token", ""), refused="")


async def enter(request: Request) -> Response:
    """Begin a session."""
    console = console_of(request)
    if not console.sessions.acts:
        return problem(
            request,
            403,
            "This console only shows.",
            "Start it with `billfleet console --actions` to act.",
        )
    form = await form_of(request)
    name = form.get("operator", "").strip()[:NAME_CHARS_MAX]
    if not name:
        return _again(request, form, "Say who you are: actions are written down with this name.")
    session = console.sessions.begin(form.get("token", "").strip(), name, console.now())
    if session is None:
        return _again(request, form, "That is not the token of this console.")
    answer = go("/")
    answer.set_cookie(
        COOKIE,
        session.session_id,
        max_age=int(SESSION_LIFE.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


def _again(request: Request, form: dict[str, str], refused: str) -> Response:
    return page(request, "enter.html", status=403, token=form.get("token", ""), refused=refused)


async def leave(request: Request) -> Response:
    """End the session."""
    operator, _ = await acting_form(request)
    console_of(request).sessions.end(operator)
    answer = go("/")
    answer.delete_cookie(COOKIE)
    return answer
