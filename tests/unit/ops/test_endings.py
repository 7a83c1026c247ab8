"""Every command ends with an exit code that means something, and never with a traceback."""

import errno
import io
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from billfleet_db.errors import (
    DatabaseMisconfigured,
    DatabaseUnavailable,
    IntegrityRefused,
    SerializationConflict,
)
from billfleet_ops.endings import end, without_passwords
from billfleet_ops.errors import ConfigurationWrong, HomeInUse, OpsError, UsageWrong
from billfleet_ops.exits import Exit
from billfleet_ops.output import Output
from billfleet_workers.runtime.errors import Misconfigured, Unavailable

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Ended:
    """What a person sees after an action: exit code and standard error."""

    def __init__(self, home: Path, action: Callable[[], object], *, debug: bool = False) -> None:
        stdout, stderr = io.StringIO(), io.StringIO()
        self.code = end(
            action, output=Output(stdout, stderr), home=home, debug=debug, now=lambda: NOW
        )
        self.text = stderr.getvalue()
        self.stdout = stdout.getvalue()


def _raising(error: BaseException) -> Callable[[], object]:
    def action() -> None:
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OpsError("it failed", where="there", remedy="do that"), Exit.FAILED),
        (UsageWrong("no such worker", where="here", remedy="name one"), Exit.USAGE),
        (ConfigurationWrong("bad", where="X", remedy="set X"), Exit.CONFIGURATION),
        (HomeInUse("in use", where="/h", remedy="stop it"), Exit.REFUSED),
        (DatabaseUnavailable("refused"), Exit.UNREACHABLE),
        (DatabaseMisconfigured("no such database"), Exit.CONFIGURATION),
        (SerializationConflict("deadlock"), Exit.FAILED),
        (IntegrityRefused("no", constraint="c"), Exit.FAILED),
        (Unavailable("SQS", "timeout"), Exit.UNREACHABLE),
        (Misconfigured("SQS", "no queue"), Exit.CONFIGURATION),
        (ExceptionGroup("two", [DatabaseUnavailable("gone"), ValueError()]), Exit.UNREACHABLE),
        (OSError(errno.ENOSPC, "No space left on device", "/data"), Exit.CONFIGURATION),
        (PermissionError(errno.EACCES, "Permission denied", "/data"), Exit.CONFIGURATION),
        (SystemExit(3), 3),
        (SystemExit(None), Exit.OK),
        (SystemExit("text"), Exit.FAILED),
        (KeyboardInterrupt(), Exit.FAILED),
        (ZeroDivisionError("oops"), Exit.INTERNAL),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(int(value)),
)
def test_each_error_ends_with_its_code_and_without_traceback(
    tmp_path: Path, error: BaseException, code: int
) -> None:
    ended = Ended(tmp_path, _raising(error))
    assert ended.code == code
    assert "Traceback" not in ended.text
    assert ended.stdout == ""


def test_a_command_that_returns_has_done_its_work(tmp_path: Path) -> None:
    ended = Ended(tmp_path, lambda: None)
    assert (ended.code, ended.text) == (Exit.OK, "")


def test_a_known_error_says_what_where_and_what_to_do(tmp_path: Path) -> None:
    ended = Ended(tmp_path, _raising(OpsError("it burns", where="[roof]", remedy="call them")))
    assert ended.text.splitlines() == ["error: it burns", "where: [roof]", "to do: call them"]


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("password authentication failed (28P01) [url]", "password"),
        ('database "x" does not exist (3D000) [url]', "name of the database"),
        ('relation "billing.accounts" does not exist (42P01)', "billfleet migrate"),
        ("a database URL begins with postgresql://", "postgresql://USER"),
    ],
)
def test_a_database_that_refuses_gets_the_remedy_that_fits(
    tmp_path: Path, said: str, remedy: str
) -> None:
    assert remedy in Ended(tmp_path, _raising(DatabaseMisconfigured(said))).text.splitlines()[-1]


def test_a_database_that_is_away_says_where_a_local_one_is_looked_for(tmp_path: Path) -> None:
    assert "BILLFLEET_HOME" in Ended(tmp_path, _raising(DatabaseUnavailable("refused"))).text


def test_a_defect_leaves_a_report_that_only_its_owner_can_read(tmp_path: Path) -> None:
    ended = Ended(tmp_path, _raising(ZeroDivisionError("oops")))
    (report,) = (tmp_path / "crashes").iterdir()
    assert str(report) in ended.text
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert "ZeroDivisionError: oops" in report.read_text()
    assert "Traceback" in report.read_text()


def test_a_defect_is_told_even_when_its_report_cannot_be_written(tmp_path: Path) -> None:
    occupied = tmp_path / "a-file"
    occupied.write_text("")
    ended = Ended(occupied, _raising(ZeroDivisionError("oops")))
    assert ended.code == Exit.INTERNAL
    assert "could not be written" in ended.text


def test_neither_report_nor_message_shows_the_password_of_a_url(tmp_path: Path) -> None:
    error = ValueError("cannot use postgresql://app:s3cret@db/billfleet")
    ended = Ended(tmp_path, _raising(error))
    (report,) = (tmp_path / "crashes").iterdir()
    assert "s3cret" not in ended.text + report.read_text()
    assert without_passwords("a://u:p@h b://u2:p2@h2") == "a://u:***@h b://u2:***@h2"


def test_debugging_shows_the_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Ended(tmp_path, _raising(ZeroDivisionError("oops")), debug=True)
    assert "Traceback" in capsys.readouterr().err
