"""How mails and requests for them look to a person and to a program.

`commands.mail` prints what this makes. It reads no database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from billfleet_db.mail import Mail, Request
from billfleet_ops.output import Cell

MAIL_COLUMNS = ("mail", "tenant", "template", "to", "subject", "state", "when")
REQUEST_COLUMNS = ("request", "tenant", "account", "answer", "when")
ID_SHOWN = 8


def mail_row(mail: Mail) -> Sequence[Cell]:
    """A mail in a list."""
    when = mail.sent_at or mail.concluded_at or mail.prepared_at
    return (
        str(mail.mail_id)[:ID_SHOWN],
        mail.tenant_id,
        mail.template,
        mail.address or f"{mail.recipient_kind} {mail.recipient_id}",
        mail.subject,
        standing(mail),
        moment(when),
    )


def standing(mail: Mail) -> str:
    """What became of the mail, in a few words."""
    if mail.complained_at:
        return "complained about"
    if mail.bounced_at:
        return "bounced"
    if mail.state in {"refused", "uncertain"} and mail.reason != mail.state:
        return f"{mail.state}: {mail.reason}"
    said = "delivered" if mail.delivered_at and mail.state == "sent" else mail.state
    return f"{said}, maybe twice" if mail.maybe_twice else said


def mail_facts(mail: Mail) -> list[tuple[str, Cell]]:
    """Everything that is known about a mail, a line each."""
    found = [
        ("mail", str(mail.mail_id)),
        ("state", standing(mail)),
        ("to", mail.address),
        ("recipient", f"{mail.recipient_kind} {mail.recipient_id} of {mail.tenant_id}"),
        ("subject", mail.subject),
        ("template", f"{mail.template} ({mail.category})"),
        ("asked for by", f"message {mail.work_id}, {moment(mail.prepared_at)}"),
        ("sent", moment(mail.sent_at)),
        ("delivered", moment(mail.delivered_at)),
        ("bounced", moment(mail.bounced_at)),
        ("complained", moment(mail.complained_at)),
        ("service id", mail.service_id),
    ]
    return [(name, value) for name, value in found if value]


def answer(request: Request) -> str:
    """What the one who asked is told."""
    match request.state:
        case "duplicate" if request.last_sent_at is not None:
            return (
                f"duplicate: the last mail went at {moment(request.last_sent_at)}; "
                f"ask again from {moment(request.next_from)}"
            )
        case "duplicate":
            return f"duplicate: the mail of request {request.duplicate_of} is on its way"
        case "silent":
            return "nothing is due, and by policy no mail says so"
        case "superseded":
            return f"request {request.duplicate_of} went ahead of it"
        case "refused":
            return f"refused: {request.reason}"
        case _:
            return _accepted(request)


def _accepted(request: Request) -> str:
    if request.mail_state == "sent":
        return f"sent at {moment(request.sent_at)}, mail {str(request.mail_id)[:ID_SHOWN]}"
    if request.mail_state in {"refused", "uncertain"}:
        return f"{request.mail_state}: {request.mail_reason}"
    return "accepted: the mail is on its way"


def request_row(request: Request) -> Sequence[Cell]:
    """A request in a list."""
    return (
        request.request_id,
        request.tenant_id,
        request.account_id,
        answer(request),
        moment(request.asked_at),
    )


def request_json(request: Request) -> Mapping[str, Any]:
    """A request for a program, with its answer in words."""
    return {**asdict(request), "answer": answer(request)}


def parsed(copy: bytes) -> EmailMessage:
    """The mail as a mail program reads it."""
    message = message_from_bytes(copy, policy=policy.default)
    assert isinstance(message, EmailMessage)  # noqa: S101 (typing: the policy makes these)
    return message


def body_of(message: EmailMessage, kind: str) -> str:
    """The text of one part: `plain` or `html`."""
    part = message.get_body((kind,))
    return str(part.get_content()) if part is not None else ""


def moment(value: datetime | None) -> str | None:
    """An instant for a person."""
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if value is not None else None
