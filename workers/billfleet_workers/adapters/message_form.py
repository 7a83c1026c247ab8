"""The form in which SQS and SNS take messages: attributes and sizes.

The adapters of both call it, and their in-memory twins, so that they refuse and repair the same
things. Pure. It must not know what a message means.
"""

import re
from collections.abc import Mapping

from billfleet_workers.runtime.ports.publisher import Letter
from billfleet_workers.runtime.ports.queue import EntryFailure

SQS_BYTES_MAX = 1024 * 1024
SNS_BYTES_MAX = 256 * 1024
"""Of one message, and of one batch together."""
ATTRIBUTES_MAX = 10
ATTRIBUTE_CHARS_MAX = 1024

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+|\.{2,}")
_RESERVED = ("aws.", "amazon.")
_DATA_TYPE = "String"


def clean_attributes(attributes: Mapping[str, str], *, bytes_max: int) -> dict[str, str]:
    """The attributes in a form that SQS accepts: they may lose detail, never fail the send.

    Characters outside XML are replaced, names are reduced to what is allowed, empty values are
    left out, long ones are cut, the first ten are kept, and what does not fit `bytes_max` goes.
    """
    kept: dict[str, str] = {}
    left = bytes_max
    for raw_name, raw_value in attributes.items():
        name = _NOT_IN_NAMES.sub("-", raw_name)[:256].strip("-.")
        if name.lower().startswith(_RESERVED) or not name or len(kept) == ATTRIBUTES_MAX:
            continue
        room = left - len(name) - len(_DATA_TYPE)
        value = _cut(_NOT_XML.sub("\ufffd", raw_value)[:ATTRIBUTE_CHARS_MAX], room)
        if value:
            kept[name] = value
            left = room - len(value.encode())
    return kept


def _cut(text: str, bytes_max: int) -> str:
    if bytes_max <= 0:
        return ""
    return text.encode()[:bytes_max].decode(errors="ignore")


def message_attributes(attributes: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Attributes as SQS and SNS spell them."""
    return {
        name: {"DataType": _DATA_TYPE, "StringValue": value} for name, value in attributes.items()
    }


def size_bytes(body: str, attributes: Mapping[str, str]) -> int:
    """What SQS and SNS count of a message: body, and attribute names, types and values."""
    return len(body.encode()) + sum(
        len(name) + len(_DATA_TYPE) + len(value.encode()) for name, value in attributes.items()
    )


def letter_attributes(letter: Letter) -> dict[str, str]:
    """What filter policies of a topic's subscriptions may look at. A queue has none."""
    if letter.route_kind == "queue":
        return {}
    return {"type": letter.event_type, "tenant": letter.tenant}


def letter_bytes(letter: Letter) -> int:
    """What the service counts of a letter."""
    return size_bytes(letter.body, letter_attributes(letter))


def letter_bytes_max(letter: Letter) -> int:
    """The most that the letter's service takes."""
    return SQS_BYTES_MAX if letter.route_kind == "queue" else SNS_BYTES_MAX


def refuse_too_large(letter: Letter) -> EntryFailure | None:
    """The failure of a letter that its service would never take."""
    size, limit = letter_bytes(letter), letter_bytes_max(letter)
    if size <= limit:
        return None
    reason = f"{size} bytes; a {letter.route_kind} takes at most {limit}"
    return EntryFailure("MessageTooLong", reason, retriable=False)
