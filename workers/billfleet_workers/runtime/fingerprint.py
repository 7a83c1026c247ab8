"""Errors that are the same mistake get the same fingerprint.

Delivery puts it on a buried message, and operators group dead letters by it. What varies from
message to message (numbers, ids, dates, quoted values) is taken out first.
"""

import hashlib
import re

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_VARYING = re.compile(r"\b[0-9a-fA-F]{8,}(?:-[0-9a-fA-F]{4,})*\b|\d+")


def fingerprint(error_class: str, reason: str) -> str:
    """Twelve hexadecimal characters for an error class and its reason."""
    shape = _VARYING.sub("#", _QUOTED.sub("?", reason))
    return hashlib.sha256(f"{error_class}|{shape}".encode()).hexdigest()[:12]
