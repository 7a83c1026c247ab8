"""`billfleet mail`: ask for due bills, and see what was sent to whom and what came back.

Rows are the database room's, their looks are `mail_views`, people and addresses are
`mail_people`; this module takes options and brings them together. It sends nothing itself.
"""

import asyncio
import time
import uuid
import webbrowser
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import DueBillsRequested
from billfleet_db.mail import Mail, Request, feedback, mails, requests
from billfleet_ops import mail_people, mail_views
from billfleet_ops.configuration import clients_of, home_directory, load_settings
from billfleet_ops.errors import Refused, UsageWrong, file_errors_mapped
from billfleet_ops.exits import Exit
from billfleet_ops.in_database import in_database
from billfleet_ops.local.home import Home
from billfleet_ops.mail_play_in import Happening, play_in
from billfleet_ops.output import Output
from billfleet_ops.teaching import lesson
from billfleet_workers.settings import Settings

POLL_S = 0.2
SOURCE = "/billfleet/mail"

AsJson = Annotated[bool, typer.Option("--json", help="For a program.")]
OneTenant = Annotated[str | None, typer.Option("--tenant", help="This tenant; all without it.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")]
MailArgument = Annotated[
    str, typer.Argument(metavar="MAIL", help="A mail's id, or how it begins; `last` for the last.")
]

group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(
        group,
        name="mail",
        help="Mails: ask for due bills, show what was sent, suppress addresses.",
        epilog=lesson(
            ("billfleet mail due-bills NO-0001 --tenant north-telecom", "ask, and be told"),
            ("billfleet mail list", "what was sent, and what became of it"),
        ),
    )
    mail_people.register(group)


@group.command(
    "due-bills",
    short_help="Ask that an account is mailed what it owes.",
    epilog=lesson(
        ("billfleet mail due-bills NO-0001 --tenant north-telecom", "and wait for the answer"),
        ("billfleet mail due-bills NO-0001 --tenant north-telecom --wait 0", "only enqueue"),
    ),
)
def due_bills(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")],
    tenant: Annotated[str, typer.Option("--tenant", help="The tenant's id.")],
    request_id: Annotated[
        str | None, typer.Option("--request-id", help="Asking twice with one id is asking once.")
    ] = None,
    wait_s: Annotated[
        float, typer.Option("--wait", min=0, max=300, help="Seconds to wait for the answer.")
    ] = 15.0,
    as_json: AsJson = False,
) -> None:
    """Ask that an account is mailed what it owes, at most once an hour.

    Within the hour the answer says when the last mail went. The fleet must be running.
    """
    settings = load_settings()
    asked = request_id or f"cli-{uuid.uuid4().hex[:12]}"
    _enqueue(settings, account, asked, tenant)
    found = _await_answer(tenant, asked, wait_s)
    output = Output()
    if as_json:
        output.json(mail_views.request_json(found) if found else {"request_id": asked})
    else:
        said = mail_views.answer(found) if found else "enqueued; not answered yet"
        output.say(f"Request {asked}: {said}.")
    refused = found is not None and "refused" in {found.state, found.mail_state}
    if refused or (found is None and wait_s > 0):
        raise typer.Exit(Exit.FAILED)


@group.command(
    "list",
    short_help="List mails, the latest first.",
    epilog=lesson(
        ("billfleet mail list --tenant acme --state refused", "what did not go, and why"),
        ("billfleet mail list --json | jq length", "for a program"),
    ),
)
def list_mails(
    tenant: OneTenant = None,
    state: Annotated[
        str | None, typer.Option(help="prepared, sending, sent, refused or uncertain.")
    ] = None,
    template: Annotated[str | None, typer.Option(help="Made from this template.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List mails, the latest first, with what became of them."""

    async def read(connection: AsyncConnection) -> list[Mail]:
        return await mails.newest(
            connection, tenant_id=tenant, state=state, template=template, limit=limit
        )

    found, output = in_database(read), Output()
    if as_json:
        output.json([asdict(mail) for mail in found])
    elif found:
        output.table(mail_views.MAIL_COLUMNS, [mail_views.mail_row(mail) for mail in found])
    else:
        output.say("No mails.")


@group.command(
    "show",
    short_help="Show a mail as its recipient got it.",
    epilog=lesson(
        ("billfleet mail show last", "the latest mail"),
        ("billfleet mail show 5a3c9d70 --html bill.html", "the page, to open in a browser"),
        ("billfleet mail show 5a3c9d70 --raw", "all headers and parts, as they travelled"),
    ),
)
def show(
    mail: MailArgument,
    tenant: OneTenant = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the page to this file.")
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="The bytes that travelled.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a mail: what is known about it, and its text. Copies are kept for thirty days."""
    found = _find(mail, tenant)
    copy = asyncio.run(_copy(load_settings(), found)) if found.object_key else None
    output = Output()
    if raw and copy is not None:
        output.say(copy.decode("utf-8", "replace"))
        return
    if as_json:
        output.json(_for_a_program(found, copy))
        return
    for name, value in mail_views.mail_facts(found):
        output.say(f"{name:<13}{value}")
    for kind, at in _notices(found):
        output.say(f"{'notice':<13}{kind}, {mail_views.moment(at)}")
    if copy is None:
        output.say("\nThere is no copy of it." if found.sent_at else "\nIt was not sent.")
        return
    message = mail_views.parsed(copy)
    output.say("")
    output.say(mail_views.body_of(message, "plain").rstrip())
    if html is not None or open_it:
        page = html or home_directory().absolute() / "mails" / f"{found.mail_id}.html"
        _write(page, mail_views.body_of(message, "html"))
        output.note(f"The page is in {page}")
        if open_it:
            webbrowser.open(page.absolute().as_uri())


@group.command(
    "requests",
    short_help="List requests for due bills and their answers.",
    epilog=lesson(("billfleet mail requests --account NO-0001", "who asked, and what they heard")),
)
def list_requests(
    tenant: OneTenant = None,
    account: Annotated[str | None, typer.Option("--account", help="Of this account.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List requests for due bills, the latest first, each with what was answered."""

    async def read(connection: AsyncConnection) -> list[Request]:
        return await requests.newest(connection, tenant_id=tenant, account_id=account, limit=limit)

    found, output = in_database(read), Output()
    if as_json:
        output.json([mail_views.request_json(request) for request in found])
    elif found:
        rows = [mail_views.request_row(request) for request in found]
        output.table(mail_views.REQUEST_COLUMNS, rows)
    else:
        output.say("Nobody has asked.")


@group.command(
    "play-in",
    short_help="Play feedback about a mail into the embedded stack.",
    epilog=lesson(
        ("billfleet mail play-in bounce last", "the address does not exist"),
        ("billfleet mail play-in complaint 5a3c9d70", "the recipient calls it spam"),
    ),
)
def play_feedback_in(
    what: Annotated[str, typer.Argument(metavar="bounce|soft-bounce|complaint|delivery")],
    mail: MailArgument,
    tenant: OneTenant = None,
) -> None:
    """Play what a mail service would say about a mail into the embedded stack.

    It goes through the same queue and the same verification as a real notice.
    """
    known: dict[str, Happening] = {
        "bounce": "bounce",
        "soft-bounce": "soft-bounce",
        "complaint": "complaint",
        "delivery": "delivery",
    }
    if what not in known:
        raise UsageWrong(
            f"There is no feedback {what!r}", where="KIND", remedy=f"Say {', '.join(known)}."
        )
    found = _find(mail, tenant)
    if found.service_id is None:
        raise Refused(
            "The mail was not sent, so nothing comes back about it",
            where=str(found.mail_id),
            remedy="`billfleet mail list --state sent` shows those that were.",
        )
    settings = load_settings()
    now = datetime.now(UTC)
    home = Home(home_directory())
    notice_id = play_in(clients_of(settings), home, settings.stack, found, known[what], now=now)
    Output().say(f"Played in notice {notice_id}. See `billfleet mail show {found.mail_id}`.")


def _enqueue(settings: Settings, account: str, request_id: str, tenant: str) -> None:
    # Imported here: listing and showing need no producer.
    from billfleet_ops.sending import send_event

    try:
        event = DueBillsRequested(account_id=account, request_id=request_id)
    except ValidationError as error:
        raise UsageWrong(
            f"{account!r} or {request_id!r} is no id",
            where="ACCOUNT, --request-id",
            remedy="Ids hold letters, digits and . _ : - and begin with a letter or digit.",
        ) from error
    send_event(settings, event, tenant=tenant, source=SOURCE)


def _await_answer(tenant: str, request_id: str, wait_s: float) -> Request | None:
    """The answer, once the mail has gone or it is sure that none will."""
    give_up_s = time.monotonic() + wait_s

    async def read(connection: AsyncConnection) -> Request | None:
        return await requests.get(connection, tenant, request_id)

    found: Request | None = None
    while time.monotonic() < give_up_s:
        found = in_database(read)
        if found is not None and (found.state != "accepted" or _is_over(found)):
            return found
        time.sleep(POLL_S)
    return found


def _is_over(request: Request) -> bool:
    return request.mail_state in {"sent", "refused", "uncertain"}


def _find(mail: str, tenant: str | None) -> Mail:
    async def read(connection: AsyncConnection) -> list[Mail]:
        if mail == "last":
            return await mails.newest(connection, tenant_id=tenant, limit=1)
        return list(await mails.find(connection, mail, tenant_id=tenant))

    found = in_database(read)
    if len(found) != 1:
        raise UsageWrong(
            f"{'Several mails begin' if found else 'No mail begins'} with {mail!r}",
            where="MAIL",
            remedy="`billfleet mail list --json` shows whole ids.",
        )
    return found[0]


def _notices(mail: Mail) -> list[tuple[str, datetime]]:
    async def read(connection: AsyncConnection) -> list[tuple[str, datetime]]:
        return await feedback.of_mail(connection, mail.tenant_id, mail.mail_id)

    return in_database(read)


async def _copy(settings: Settings, mail: Mail) -> bytes | None:
    from billfleet_workers.main.mails import read_mail_copy

    return await read_mail_copy(settings, mail.object_key or "")


def _for_a_program(mail: Mail, copy: bytes | None) -> object:
    if copy is None:
        return asdict(mail)
    message = mail_views.parsed(copy)
    return {
        **asdict(mail),
        "headers": dict(message.items()),
        "text": mail_views.body_of(message, "plain"),
        "html": mail_views.body_of(message, "html"),
    }


def _write(path: Path, text: str) -> None:
    with file_errors_mapped(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
