"""One mail: what is known of it, and how its recipient sees it.

The mail itself is what others wrote into it, so it stands in a frame that may run and fetch
nothing, whatever it says.
"""

from uuid import UUID

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from billfleet_db.mail import Mail, mails
from billfleet_ops import mail_views
from billfleet_ops.console.parts import console_of, page, problem
from billfleet_ops.console.security import AROUND_A_FRAME, IN_A_FRAME


def routes() -> list[Route]:
    """The pages here."""
    return [
        Route("/mails/{tenant}/{mail:uuid}", one),
        Route("/mails/{tenant}/{mail:uuid}/body", body),
    ]


async def one(request: Request) -> Response:
    """What is known, around the mail."""
    mail = await _mail(request)
    if mail is None:
        return problem(request, 404, "There is no such mail of this tenant.")
    shown = page(request, "mail.html", mail=mail, facts=mail_views.mail_facts(mail))
    shown.headers.update(AROUND_A_FRAME)
    return shown


async def body(request: Request) -> Response:
    """The mail alone, for the frame."""
    mail = await _mail(request)
    key = mail.object_key if mail is not None else None
    copy = await console_of(request).read_mail(key) if key else None
    if copy is None:
        return HTMLResponse("<p>There is no copy of it.", 404, headers=dict(IN_A_FRAME))
    html = mail_views.body_of(mail_views.parsed(copy), "html")
    return HTMLResponse(html, headers=dict(IN_A_FRAME))


async def _mail(request: Request) -> Mail | None:
    tenant: str = request.path_params["tenant"]
    mail_id: UUID = request.path_params["mail"]
    async with console_of(request).database.transaction() as connection:
        return await mails.get(connection, tenant, mail_id)
