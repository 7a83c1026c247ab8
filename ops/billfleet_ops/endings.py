"""How a command ends: with an exit code, and never with a traceback.

`cli.main` runs every command through `end`. Errors written for operators are printed as such,
those of the database room are translated here once, and anything else is a defect: one line,
and a crash report in BILLFLEET_HOME. It knows no command.
"""

import os
import platform
import re
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from billfleet_db.errors import (
    DatabaseError,
    DatabaseMisconfigured,
    DatabaseUnavailable,
    SerializationConflict,
)
from billfleet_ops.errors import (
    ConfigurationWrong,
    DependencyUnreachable,
    OpsError,
    from_os_error,
)
from billfleet_ops.exits import Exit
from billfleet_ops.output import Output
from billfleet_ops.release import release
from billfleet_workers.runtime.errors import Misconfigured, Unavailable

_LOGIN_REFUSED = "28"
_NO_SUCH_DATABASE = "3D000"
_NO_SUCH_TABLE = "42P01"
_NO_SUCH_SCHEMA = "3F000"
PASSWORD_IN_URL = re.compile(r"(://[^:/@\s]+):[^@/\s]+@")


def end(
    action: Callable[[], object],
    *,
    output: Output,
    home: Path,
    debug: bool,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> int:
    """Run the command and return its exit code."""
    try:
        action()
    except SystemExit as ended:
        return _code_of(ended)
    except KeyboardInterrupt:
        output.note("Interrupted.")
        return Exit.FAILED
    except Exception as error:  # noqa: BLE001 - the one place where a defect becomes a report
        if debug:
            traceback.print_exception(error)
        known = as_operator_error(error)
        if known is not None:
            output.problem(known)
            return known.code
        output.problem(_defect(error, write_report(error, home, now())))
        return Exit.INTERNAL
    return Exit.OK


def as_operator_error(error: BaseException) -> OpsError | None:
    """The error in an operator's words, or None when it is a defect."""
    if isinstance(error, OpsError):
        return error
    if isinstance(error, BaseExceptionGroup):
        # Several tasks fail together when what they share is gone; the first one tells.
        return as_operator_error(error.exceptions[0])
    if isinstance(error, DatabaseError):
        return _from_database(error)
    if isinstance(error, Unavailable):
        return _from_fleet(error)
    return from_os_error(error, "") if isinstance(error, OSError) else None


def _from_database(error: DatabaseError) -> OpsError:
    kind: type[OpsError] = OpsError
    remedy = "The rule that refused is named above; nothing was changed."
    if isinstance(error, DatabaseUnavailable):
        kind = DependencyUnreachable
        remedy = (
            "Check that PostgreSQL runs at DATABASE_URL. `billfleet up` starts a local one, which "
            "other commands find in the same directory, or with the same BILLFLEET_HOME."
        )
    elif isinstance(error, DatabaseMisconfigured):
        kind = ConfigurationWrong
        remedy = _misconfigured(_one_line(error))
    elif isinstance(error, SerializationConflict):
        remedy = "Another transaction was faster. Run the command again."
    return kind(_one_line(error), where="database", remedy=remedy)


def _misconfigured(said: str) -> str:
    """What to do about a database that refuses; PostgreSQL's own code tells the cases apart."""
    if f"({_LOGIN_REFUSED}" in said:
        return "Check the user and the password in DATABASE_URL; a password is percent-encoded."
    if f"({_NO_SUCH_DATABASE}" in said:
        return "Check the name of the database in DATABASE_URL, or create it and migrate."
    if f"({_NO_SUCH_TABLE}" in said or f"({_NO_SUCH_SCHEMA}" in said:
        return "Run `billfleet migrate`, or check that DATABASE_URL names the right database."
    return "Check DATABASE_URL: postgresql://USER:PASSWORD@HOST:5432/DATABASE."


def _from_fleet(error: Unavailable) -> OpsError:
    kind = ConfigurationWrong if isinstance(error, Misconfigured) else DependencyUnreachable
    remedy = "Run `billfleet doctor`; it looks at everything that the fleet needs."
    return kind(_one_line(error), where=error.dependency, remedy=remedy)


def _defect(error: BaseException, report: Path | None) -> OpsError:
    return OpsError(
        f"This is a defect in billfleet: {type(error).__name__}: {_one_line(error)}",
        where=str(report) if report else "the crash report could not be written",
        remedy="Report it with that file; BILLFLEET_DEBUG=1 shows the traceback here.",
    )


def write_report(error: BaseException, home: Path, now: datetime) -> Path | None:
    """Write what a developer needs, without environment or passwords; None when it cannot be."""
    lines = [
        f"time: {now.isoformat()}",
        f"command: {' '.join(sys.argv[1:])}",
        f"billfleet: {release()}, python: {platform.python_version()}",
        f"platform: {platform.platform()}",
        "",
        *traceback.format_exception(error),
    ]
    path = home.expanduser().absolute() / "crashes" / f"{now:%Y%m%dT%H%M%S}-{os.getpid()}.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(without_passwords("\n".join(lines)))
    except OSError:
        return None
    return path


def without_passwords(text: str) -> str:
    """The text with the passwords of URLs struck out."""
    return PASSWORD_IN_URL.sub(r"\1:***@", text)


def _one_line(error: BaseException) -> str:
    lines = without_passwords(str(error)).strip().splitlines()
    return lines[0] if lines else "no message"


def _code_of(ended: SystemExit) -> int:
    if ended.code is None:
        return Exit.OK
    return ended.code if isinstance(ended.code, int) else Exit.FAILED
