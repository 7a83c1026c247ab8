"""Cursors of lists: opaque to callers, and refused unless they are of this very list.

A cursor holds the position after which a page begins, and a digest of the list and the position.
It is no secret and gives no right: row security still decides what is seen. Pure.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final

from billfleet_contracts import INTEGER_MAX
from billfleet_gateway.problems import Problem

_DIGEST_BYTES: Final = 9
_CHARS_MAX: Final = 64


def make_cursor(of: str, after: int) -> str:
    """The cursor of list `of` after the position."""
    position = str(after).encode()
    return base64.urlsafe_b64encode(_digest(of, position) + position).decode().rstrip("=")


def read_cursor(of: str, cursor: str | None) -> int:
    """The position of the cursor; 0 where there is none.

    Raises:
        Problem: it is no cursor of this list.
    """
    if cursor is None:
        return 0
    if len(cursor) > _CHARS_MAX:
        raise _bad()
    try:
        raw = base64.b64decode(
            cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        )
    except (binascii.Error, ValueError):
        raise _bad() from None
    digest, position = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
    if digest != _digest(of, position) or not position.isdigit():
        raise _bad()
    after = int(position)
    if after > INTEGER_MAX:
        raise _bad()
    return after


def _digest(of: str, position: bytes) -> bytes:
    return hashlib.sha256(of.encode() + b"\n" + position).digest()[:_DIGEST_BYTES]


def _bad() -> Problem:
    return Problem("bad-cursor", "The cursor is not one that this list gave out.")
