"""Names of files: in the header of a download, and in the key of an object.

Workers name what they write, the object store and the gateway name what they send (RFC 6266,
RFC 5987). Safe whatever a name says, since names are made of what customers typed. Pure.
"""

import re
import unicodedata
from datetime import datetime
from typing import Final
from urllib.parse import quote
from uuid import UUID

NAME_CHARS_MAX: Final = 150
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f"\\/:*?<>|%;]+')
_ATTR_CHARS = "!#$&+-.^_`|~"


def safe_file_name(name: str, *, otherwise: str = "file") -> str:
    """The name without anything that a path, a header or a shell would read as more than a name.

    Letters of every script stay. Control, formatting and bidirectional characters go, and so do
    dots and spaces at either end.
    """
    visible = "".join(char for char in name if unicodedata.category(char) not in _UNSEEN)
    plain = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", visible)).strip(". \t")
    stem, dot, ending = plain.rpartition(".")
    if dot and len(ending) <= 10:
        plain = f"{stem[: NAME_CHARS_MAX - len(ending) - 1]}.{ending}"
    return plain[:NAME_CHARS_MAX] or otherwise


def attachment(name: str) -> str:
    """`attachment` with the name twice: in ASCII for old readers, and in full."""
    safe = safe_file_name(name)
    ascii_name = _ascii(name)
    header = f'attachment; filename="{ascii_name}"'
    if ascii_name == safe:
        return header
    return f"{header}; filename*=UTF-8''{quote(safe, safe=_ATTR_CHARS)}"


def object_key(kind: str, tenant: str, created_at: datetime, file_id: UUID, file_name: str) -> str:
    """`<kind>/<tenant>/<yyyy>/<mm>/<id>-<name>`: where a file lies, in plain ASCII."""
    named = re.sub(r"[^A-Za-z0-9._-]+", "-", _ascii(file_name)).strip("-") or "file"
    return f"{kind}/{tenant}/{created_at:%Y/%m}/{file_id}-{named}"


def _ascii(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", safe_file_name(name))
    return safe_file_name(decomposed.encode("ascii", "ignore").decode())


_UNSEEN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
