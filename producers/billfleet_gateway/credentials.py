"""API keys as their holders have them, and what a caller may do.

`bfk_<id>_<secret>`: the id finds the key, the secret opens it. Secrets are random and of 256 bits,
so a plain SHA-256 of one is kept and nothing slower is needed. Used by `callers` and by
`billfleet gateway keys`; it must not know the database.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

Scope = Literal[
    "accounts:read",
    "accounts:write",
    "loyalty:read",
    "loyalty:write",
    "events:write",
    "exports:read",
    "exports:write",
    "avatars:read",
    "avatars:write",
    "work:read",
]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
SCOPE_SAYS: Final[Mapping[Scope, str]] = {
    "accounts:read": "read accounts and their ledger",
    "accounts:write": "create accounts, ask for due bills",
    "loyalty:read": "read cards",
    "loyalty:write": "send loyalty transactions",
    "events:write": "send events to be counted",
    "exports:read": "see exports",
    "exports:write": "ask for exports",
    "avatars:read": "see avatars",
    "avatars:write": "upload avatars",
    "work:read": "see what became of work",
}

_KEY = re.compile(r"bfk_(?P<id>[0-9a-f]{16})_(?P<secret>[A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. `shown` is shown once and kept nowhere."""

    key_id: str
    secret_hash: bytes
    shown: str


@dataclass(frozen=True, slots=True)
class Presented:
    """A key as a caller presents it."""

    key_id: str
    secret_hash: bytes

    def opens(self, secret_hash: bytes) -> bool:
        """Whether it is the key with this hash; the time taken says nothing."""
        return hmac.compare_digest(self.secret_hash, secret_hash)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, for whom, and what they may do."""

    tenant: str
    name: str
    scopes: frozenset[str]

    def may(self, scope: Scope) -> bool:
        """Whether this caller may do that."""
        return scope in self.scopes


def new_key() -> NewKey:
    """Make a key."""
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    return NewKey(key_id, _hash(secret), f"bfk_{key_id}_{secret}")


def read_key(text: str) -> Presented | None:
    """The key in a bearer token; None where it is not one of ours."""
    match = _KEY.fullmatch(text)
    return None if match is None else Presented(match["id"], _hash(match["secret"]))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
