import asyncpg
import pytest
from sqlalchemy import exc

from billfleet_db import Database, errors
from billfleet_db.errors import (
    DatabaseError,
    DatabaseMisconfigured,
    DatabaseUnavailable,
    IntegrityRefused,
    SerializationConflict,
    mapped,
    redacted,
)


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (asyncpg.AdminShutdownError("x"), DatabaseUnavailable),
        (asyncpg.CannotConnectNowError("x"), DatabaseUnavailable),
        (asyncpg.TooManyConnectionsError("x"), DatabaseUnavailable),
        (asyncpg.DiskFullError("x"), DatabaseUnavailable),
        (asyncpg.ConnectionDoesNotExistError("x"), DatabaseUnavailable),
        (asyncpg.QueryCanceledError("x"), DatabaseUnavailable),
        (asyncpg.IdleInTransactionSessionTimeoutError("x"), DatabaseUnavailable),
        (asyncpg.ReadOnlySQLTransactionError("x"), DatabaseUnavailable),
        (asyncpg.InterfaceError("connection is closed"), DatabaseUnavailable),
        (ConnectionRefusedError("x"), DatabaseUnavailable),
        (TimeoutError(), DatabaseUnavailable),
        (exc.TimeoutError("x"), DatabaseUnavailable),
        (asyncpg.DeadlockDetectedError("x"), SerializationConflict),
        (asyncpg.SerializationError("x"), SerializationConflict),
        (asyncpg.LockNotAvailableError("x"), SerializationConflict),
        (asyncpg.UniqueViolationError("x"), IntegrityRefused),
        (asyncpg.RestrictViolationError("x"), IntegrityRefused),
        (asyncpg.InvalidPasswordError("x"), DatabaseMisconfigured),
        (asyncpg.InvalidCatalogNameError("x"), DatabaseMisconfigured),
        (asyncpg.UndefinedTableError("x"), DatabaseMisconfigured),
        (asyncpg.InsufficientPrivilegeError("x"), DatabaseMisconfigured),
        (asyncpg.ClientConfigurationError("x"), DatabaseMisconfigured),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_each_foreign_error_has_one_word_of_ours(
    foreign: Exception, ours: type[DatabaseError]
) -> None:
    assert type(mapped(foreign)) is ours
    assert type(mapped(exc.DBAPIError("SELECT 1", {}, foreign))) is ours


@pytest.mark.parametrize(
    "foreign",
    [asyncpg.DivisionByZeroError("x"), asyncpg.PostgresSyntaxError("x"), ValueError("x")],
)
def test_a_defect_of_our_own_is_left_as_it_is(foreign: Exception) -> None:
    assert mapped(foreign) is None


def test_our_own_error_stays_itself() -> None:
    ours = IntegrityRefused("x", constraint="uq_x")
    assert mapped(ours) is ours


def test_a_message_is_one_line_with_its_code() -> None:
    said = str(mapped(asyncpg.UniqueViolationError("duplicate\nDETAIL: Key (email)=(a@b)")))
    assert said == "duplicate (23505)"


def test_every_error_tells_the_operator_what_happened() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    ours = [cls for cls in classes if issubclass(cls, DatabaseError)]
    assert len(ours) == 6
    assert all(cls.__doc__ for cls in ours)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:s3cret@h:5432/db?sslmode=require", "postgresql://u@h:5432/db"),
        ("postgresql://h/db", "postgresql://h/db"),
        ("postgresql://u:s3cret@h:55x/db", "(a URL that cannot be read)"),
        ("postgresql:///db?host=/run/pg&password=s3cret", "postgresql:///db"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert redacted(url) == shown


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://u:s3cret@h/db", "begins with postgresql://, not mysql://"),
        ("u:s3cret@h", "begins with postgresql://"),
        ("", "begins with postgresql://"),
        ("postgresql://u:s3cret@h", "names no database"),
        ("postgresql://u:s3cret/x@h/db", "percent-encoded"),
        ("postgresql://u:s3cret@h:55x/db", "percent-encoded"),
        ("postgresql://[s3cret/db", "percent-encoded"),
    ],
)
def test_a_url_of_no_postgresql_is_explained_without_its_password(url: str, words: str) -> None:
    with pytest.raises(DatabaseMisconfigured) as raised:
        Database.connect(url)
    assert words in str(raised.value)
    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is None
