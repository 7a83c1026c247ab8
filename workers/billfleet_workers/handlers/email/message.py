"""A rendered mail becomes the bytes that travel: headers by the standard library, both bodies.

The handler calls it. Headers go through `email.policy`, which encodes names and refuses line
breaks (R54). Only marketing carries the headers of RFC 8058 (R52). Pure.
"""

import base64
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final
from uuid import UUID

from billfleet_workers.handlers.email.addresses import AddressRefused
from billfleet_workers.handlers.email.rendering import Rendered

_LINE_END: Final = b"\r\n"


@dataclass(frozen=True, slots=True)
class Addressing:
    """Who writes to whom. `reader_name` and `tenant_name` are display names."""

    tenant_name: str
    sender: str
    reader_name: str
    recipient: str


def compose(
    rendered: Rendered,
    addressing: Addressing,
    *,
    mail_id: UUID,
    now: datetime,
    unsubscribe_url: str | None = None,
) -> bytes:
    """The whole mail, in lines that end as the mail protocol asks.

    Raises:
        AddressRefused: a name or address would break out of its header.
    """
    head = _headers(
        rendered.subject, addressing, mail_id, now, is_marketing=unsubscribe_url is not None
    )
    boundary = f"=_{mail_id.hex}"
    form = f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n'
    opening = f"--{boundary}".encode() + _LINE_END
    parts = (_part("plain", rendered.text), _part("html", rendered.html))
    body = b"".join(opening + part for part in parts)
    return (
        head.as_bytes().rstrip()
        + _LINE_END
        + _way_out(unsubscribe_url)
        + form.encode()
        + body
        + f"--{boundary}--".encode()
        + _LINE_END
    )


def _headers(
    subject: str,
    addressing: Addressing,
    mail_id: UUID,
    now: datetime,
    *,
    is_marketing: bool,
) -> EmailMessage:
    head = EmailMessage(policy=policy.SMTP)
    domain = addressing.sender.rpartition("@")[2]
    try:
        head["From"] = Address(addressing.tenant_name, addr_spec=addressing.sender)
        head["To"] = Address(addressing.reader_name, addr_spec=addressing.recipient)
        head["Subject"] = subject
    except ValueError as error:
        raise AddressRefused(str(error)) from error
    head["Date"] = format_datetime(now)
    head["Message-ID"] = f"<{mail_id}@{domain}>"
    head["X-Billfleet-Mail"] = str(mail_id)
    head["MIME-Version"] = "1.0"
    if is_marketing:
        head["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        head["Precedence"] = "bulk"
    else:
        # No answer of a machine to this: RFC 3834.
        head["Auto-Submitted"] = "auto-generated"
    return head


def _way_out(url: str | None) -> bytes:
    """By hand: the library would make encoded words of an address that is longer than a line, and
    no mail program looks for the way out in those."""
    return b"" if url is None else f"List-Unsubscribe: <{url}>\r\n".encode()


def _part(subtype: str, text: str) -> bytes:
    """Base64 by hand: the library's generator costs three times as much as everything else here."""
    head = f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: base64\r\n'
    encoded = base64.encodebytes(text.encode()).replace(b"\n", _LINE_END)
    return head.encode() + _LINE_END + encoded + _LINE_END
