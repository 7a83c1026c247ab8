"""What the exit code of every `billfleet` command means.

Shells, systemd units and CI jobs branch on these numbers, so they never change meaning.
Every command and the error mapping in `cli` use them; this module knows neither.
"""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes, from harmless to our own fault."""

    OK = 0
    """The command did what it was asked."""
    FAILED = 1
    """The command ran and found something wrong, or some of its work failed."""
    USAGE = 2
    """The command line was not understood."""
    CONFIGURATION = 3
    """A setting, file, permission or port is wrong: change it and run again."""
    UNREACHABLE = 4
    """A dependency (database, AWS endpoint) does not answer: run again when it is back."""
    REFUSED = 5
    """Nothing was done, because doing it might lose data: read the message first."""
    INTERNAL = 70
    """A defect of ours. A crash report was written."""


MEANINGS = (
    "Exit codes: 0 done, 1 something is wrong or failed, 2 usage, 3 configuration, "
    "4 a dependency does not answer, 5 refused for safety, 70 defect (crash report written)."
)
