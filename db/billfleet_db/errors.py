"""The words that leave this room when the database refuses, and the one place that finds them.

Called by `engine` and `migrate` for every exception of asyncpg, SQLAlchemy and the socket; read by
handlers, which decide by class what to do next. No message carries a password or a bound value.
"""

from urllib.parse import urlsplit

import asyncpg
from sqlalchemy import exc


class DatabaseError(Exception):
    """The database answered with an error. Look at the message for which one."""


class DatabaseUnavailable(DatabaseError):
    """PostgreSQL cannot be reached, is restarting, is full, or took too long.

    Nothing of the transaction was kept. Workers wait and come back by themselves; if it lasts, look
    at PostgreSQL's own log, its disk, and its number of connections.
    """


class SerializationConflict(DatabaseError):
    """Two transactions wanted the same rows and this one lost (deadlock, serialization, lock wait).

    Nothing of the transaction was kept; running it again is safe and is what workers do.
    """


class IntegrityRefused(DatabaseError):
    """A constraint or trigger refused the change; `constraint` says which.

    The data offered contradicts what is recorded. Nothing was kept, and trying again will not help.
    """

    def __init__(self, message: str, *, constraint: str) -> None:
        super().__init__(message)
        self.constraint = constraint


class LedgerRefused(IntegrityRefused):
    """The posting would break a rule of the ledger, such as refunding more than was captured.

    Nothing was posted. `billfleet ledger show` says what is recorded for the account.
    """


class DatabaseMisconfigured(DatabaseError):
    """The URL, the login, the database or its schema is not what this program needs.

    It will not heal by waiting. Check DATABASE_URL and its password, that the database exists, and
    that `billfleet migrate` has been run against it.
    """


_CONFLICTS = ("40001", "40P01", "55P03")
_UNAVAILABLE_CLASSES = ("08", "53", "57", "58")
_UNAVAILABLE = ("25P03", "25P04", "25006")
_MISCONFIGURED_CLASSES = ("28", "3D", "3F")
_MISCONFIGURED = ("42P01", "42703", "42501", "42883", "42704")
_INTEGRITY_CLASSES = ("23",)


def mapped(error: BaseException) -> DatabaseError | None:
    """Return our error for a foreign one, or None where the error is a defect of our own code."""
    if isinstance(error, DatabaseError):
        return error
    foreign = _innermost(error)
    state = getattr(foreign, "sqlstate", None)
    if isinstance(state, str):
        return _by_sqlstate(foreign, state)
    if isinstance(foreign, asyncpg.ClientConfigurationError):
        return DatabaseMisconfigured("the database URL cannot be used; check its form and options")
    if isinstance(foreign, exc.TimeoutError):
        return DatabaseUnavailable("no database connection became free in time")
    if isinstance(foreign, TimeoutError):
        return DatabaseUnavailable("the database did not answer in time")
    if isinstance(foreign, OSError):
        return DatabaseUnavailable(f"cannot reach the database: {_one_line(foreign)}")
    if isinstance(foreign, asyncpg.InterfaceError | exc.DBAPIError):
        return _by_connection(error, foreign)
    return None


def redacted(url: str) -> str:
    """Return the URL with its password and options left out, fit for messages and logs."""
    try:
        parts = urlsplit(url)
        user = f"{parts.username}@" if parts.username else ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(a URL that cannot be read)"
    return f"{parts.scheme}://{user}{parts.hostname or ''}{port}{parts.path}"


def _innermost(error: BaseException) -> BaseException:
    """Return what the driver raised, below SQLAlchemy's wrappers."""
    while isinstance(error, exc.DBAPIError) and error.orig is not None:
        error = error.orig
    cause = error.__cause__
    if cause is not None and isinstance(cause, asyncpg.PostgresError | asyncpg.InterfaceError):
        return cause
    return error


def _by_sqlstate(foreign: BaseException, state: str) -> DatabaseError | None:
    said = f"{_one_line(foreign)} ({state})"
    if state in _CONFLICTS:
        return SerializationConflict(said)
    if state in _UNAVAILABLE or state[:2] in _UNAVAILABLE_CLASSES:
        return DatabaseUnavailable(said)
    if state in _MISCONFIGURED or state[:2] in _MISCONFIGURED_CLASSES:
        return DatabaseMisconfigured(said)
    if state[:2] in _INTEGRITY_CLASSES:
        constraint = getattr(foreign, "constraint_name", None) or _column_rule(foreign)
        return IntegrityRefused(said, constraint=constraint)
    return None


def _column_rule(foreign: BaseException) -> str:
    # NOT NULL is the one rule of ours that PostgreSQL reports without a constraint's name.
    column = getattr(foreign, "column_name", None)
    return f"not_null_{column}" if column else "unnamed"


def _by_connection(error: BaseException, foreign: BaseException) -> DatabaseError | None:
    invalidated = isinstance(error, exc.DBAPIError) and error.connection_invalidated
    text = _one_line(foreign)
    if invalidated or "closed" in text or "connection" in text:
        return DatabaseUnavailable(f"the connection to the database was lost: {text}")
    return None


def _one_line(error: BaseException) -> str:
    """Return the first line: PostgreSQL's message without its detail, which quotes values."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
