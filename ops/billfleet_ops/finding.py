"""What one check of `billfleet doctor` came to: fine, worth a look, or wrong.

The checks return it and the command prints it. It knows no check.
"""

from dataclasses import dataclass
from typing import Literal

from billfleet_ops.errors import OpsError

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report; `remedy` is empty when all is well."""

    check: str
    level: Level
    what: str
    remedy: str = ""


def fine(check: str, what: str) -> Finding:
    """Nothing to do."""
    return Finding(check, "ok", what)


def doubtful(check: str, what: str, remedy: str) -> Finding:
    """The fleet runs, and somebody should look."""
    return Finding(check, "warning", what, remedy)


def wrong(check: str, what: str, remedy: str) -> Finding:
    """The fleet cannot do its work like this, or not safely."""
    return Finding(check, "error", what, remedy)


def wrong_because(check: str, error: OpsError) -> Finding:
    """What an error says, as a finding."""
    return wrong(check, f"{error.what} ({error.where})", error.remedy)
