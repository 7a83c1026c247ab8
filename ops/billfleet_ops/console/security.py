"""Who may act: a token, sessions, and the checks that every request passes.

The console shows without being asked who one is, on loopback; it acts only for a session that
began with the token of this process. What changes something needs the session's cookie
(SameSite=Strict), its secret in the form, and an Origin that is ours. Hosts that are not ours are
refused, so that no foreign name can be made to point here.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from starlette.datastructures import Headers

COOKIE = "billfleet_console"
SESSION_LIFE = timedelta(hours=12)
SAFE_METHODS = frozenset({"GET", "HEAD"})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
AROUND_A_FRAME: Mapping[str, str] = {"Content-Security-Policy": f"{POLICY}; frame-src 'self'"}
IN_A_FRAME: Mapping[str, str] = {
    # What others wrote: it runs nothing, fetches nothing, and has an origin of its own.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'self'; sandbox"
    ),
    "X-Frame-Options": "SAMEORIGIN",
}


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who has shown the token."""

    session_id: str
    operator: str
    form_secret: str
    begun_at: datetime


@dataclass
class Sessions:
    """The sessions of this process. `token` is None where the console is read-only."""

    token: str | None
    _known: dict[str, Session] = field(default_factory=dict)

    @property
    def acts(self) -> bool:
        """Whether anybody may act at all."""
        return self.token is not None

    def begin(self, token: str, operator: str, now: datetime) -> Session | None:
        """A new session for whoever has the token; None for anybody else."""
        if self.token is None or not hmac.compare_digest(token.encode(), self.token.encode()):
            return None
        session = Session(secrets.token_urlsafe(24), operator, secrets.token_urlsafe(24), now)
        self._known[session.session_id] = session
        return session

    def find(self, cookie: str | None, now: datetime) -> Session | None:
        """The session of a cookie, while it lives."""
        session = self._known.get(cookie or "")
        if session is not None and now - session.begun_at > SESSION_LIFE:
            del self._known[session.session_id]
            return None
        return session

    def end(self, session: Session) -> None:
        """Forget it."""
        self._known.pop(session.session_id, None)


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(24)


def is_own_form(session: Session, given: str) -> bool:
    """Whether a form carries its session's secret."""
    return hmac.compare_digest(given.encode(), session.form_secret.encode())


def is_host_ours(headers: Headers, hosts: frozenset[str]) -> bool:
    """Whether the request names a host that this console answers for."""
    name = urlsplit(f"//{headers.get('host', '')}").hostname
    return name is not None and name in hosts


def is_same_origin(headers: Headers, scheme: str) -> bool:
    """Whether a request that is not safe comes from our own page. Silence is no proof."""
    origin = headers.get("origin")
    if origin is not None:
        return origin == f"{scheme}://{headers.get('host', '')}"
    return headers.get("sec-fetch-site") == "same-origin"
