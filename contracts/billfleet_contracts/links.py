"""Links that people are mailed: who made one, for whom, for what and until when, in its token.

Workers make them; the gateway reads them on a click and only then decides what to show. A token
proves that we made it and is no permission for ever: whoever reads it also asks whether what it
names is still there and was not revoked. It must not know a web framework or a table.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, Literal

LinkKind = Literal["file", "unsubscribe", "verify-email", "reset-password"]

PATHS: Final[Mapping[LinkKind, str]] = MappingProxyType(
    {"file": "f", "unsubscribe": "u", "verify-email": "v", "reset-password": "r"}
)
"""The first step of a link's path, by its kind: `<base_url>/f/<token>`."""
SECRET_CHARS_MIN: Final = 16
TOKEN_CHARS_MAX: Final = 2_000
_PURPOSE: Final = b"billfleet.link.v1."


class LinkError(Exception):
    """A link cannot be followed. What it names is not told to whoever holds it."""


class LinkForged(LinkError):
    """No secret of ours signed this token, or it is damaged, or it is a link of another kind.

    Answer 404. If every link is refused, compare BILLFLEET_LINK_SECRET of the workers and of the
    gateway; a secret that was replaced stays in the list, after the new one, for as long as its
    links live: those of files thirty days, those that unsubscribe ten years.
    """


class LinkExpired(LinkError):
    """The link is ours, and its time is over. Answer 410 and say that a new one can be had."""

    def __init__(self, link: Link) -> None:
        super().__init__(f"the link expired at {link.expires_at.isoformat()}")
        self.link = link


@dataclass(frozen=True, slots=True)
class Link:
    """What a token says. `subject` is an id, such as the file's."""

    kind: LinkKind
    tenant: str
    subject: str
    expires_at: datetime


def make_link(
    base_url: str,
    secrets: Sequence[str],
    *,
    kind: LinkKind,
    tenant: str,
    subject: str,
    expires_at: datetime,
) -> str:
    """The address to mail. The same arguments give the same address.

    Args:
        base_url: where people reach the gateway, such as `https://billing.example.com`.
        secrets: the first one signs; each has at least 16 characters.
        kind: what the link does.
        tenant: whose it is.
        subject: the id of what it opens.
        expires_at: aware; the token counts whole seconds.

    Raises:
        ValueError: there is no secret, one is too short, or the time has no zone.

    Example:
        >>> from datetime import UTC, datetime
        >>> url = make_link(
        ...     "https://b.example", ["a secret of some length"], kind="file", tenant="acme",
        ...     subject="4f0c", expires_at=datetime(2026, 12, 24, tzinfo=UTC),
        ... )
        >>> url.startswith("https://b.example/f/")
        True
    """
    if expires_at.tzinfo is None:
        raise ValueError("expires_at needs a time zone")
    claims = [PATHS[kind], tenant, subject, int(expires_at.timestamp())]
    said = _spell(json.dumps(claims, separators=(",", ":")).encode())
    signature = _spell(_sign(_checked(secrets)[0], said))
    return f"{base_url.rstrip('/')}/{PATHS[kind]}/{said}.{signature}"


def read_link(
    token: str, secrets: Sequence[str], now: datetime, *, kind: LinkKind | None = None
) -> Link:
    """What a token says, once it is known to be ours and in time.

    Args:
        token: the last step of the link's path.
        secrets: all of them are tried.
        now: aware.
        kind: what the caller is there for; a token of another kind counts as forged.

    Raises:
        LinkForged: it is not ours, or not for this.
        LinkExpired: it is ours and too old.
        ValueError: there is no secret, or one is too short.
    """
    said, dot, signature = token.partition(".")
    known = _checked(secrets)
    if not dot or len(token) > TOKEN_CHARS_MAX or not token.isascii():
        raise LinkForged("this is no token of ours")
    given = _read(signature)
    if not any(hmac.compare_digest(given, _sign(secret, said)) for secret in known):
        raise LinkForged("no secret of ours signed this token")
    link = _understood(_read(said))
    if kind is not None and link.kind != kind:
        raise LinkForged("this token is for something else")
    if now >= link.expires_at:
        raise LinkExpired(link)
    return link


def _understood(claims: bytes) -> Link:
    # What we signed we also wrote; only another version of us could have written it otherwise.
    try:
        path, tenant, subject, expires_s = json.loads(claims)
        kind = next(kind for kind, step in PATHS.items() if step == path)
        return Link(kind, str(tenant), str(subject), datetime.fromtimestamp(int(expires_s), UTC))
    except (ValueError, TypeError, StopIteration, OverflowError) as error:
        raise LinkForged("this token is of another version") from error


def _checked(secrets: Sequence[str]) -> Sequence[str]:
    if not secrets or any(len(secret) < SECRET_CHARS_MIN for secret in secrets):
        raise ValueError(f"links need secrets of at least {SECRET_CHARS_MIN} characters")
    return secrets


def _sign(secret: str, said: str) -> bytes:
    return hmac.new(secret.encode(), _PURPOSE + said.encode(), hashlib.sha256).digest()


def _spell(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _read(spelled: str) -> bytes:
    try:
        raw = base64.b64decode(spelled + "=" * (-len(spelled) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise LinkForged("this is no token of ours") from error
    if _spell(raw) != spelled:
        # Base64 has spare bits at its end; one token has one spelling.
        raise LinkForged("this is no token of ours")
    return raw
