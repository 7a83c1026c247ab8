"""How a server that refuses to run as root is run by root: in a user namespace, or as nobody.

`postgres` asks. Containers and CI machines often have root and nothing else. A user namespace
maps root to nobody inside, so files keep their owner and no system user is added; where that
is blocked, the server runs as nobody in paths that nobody may enter. It knows no server.
"""

import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from billfleet_ops.errors import ConfigurationWrong

NOBODY = 65_534
NAMESPACE = ("unshare", "-U", f"--map-user={NOBODY}", f"--map-group={NOBODY}")
SHELTER = Path("/var/tmp")  # noqa: S108 - a sticky directory is what nobody may enter; ours is 0700


@dataclass(frozen=True)
class Launch:
    """What to put before a command, and which user to become, so that it is not root."""

    prefix: Sequence[str] = ()
    user: int | None = None

    @property
    def owner(self) -> int:
        """Who must own the server's files, as seen from outside."""
        return os.geteuid() if self.user is None else self.user


def launch_for(effective_user: int) -> Launch:
    """The mildest way that works here for this user."""
    if effective_user != 0:
        return Launch()
    if _namespaces_work():
        return Launch(prefix=NAMESPACE)
    return Launch(user=NOBODY)


def _namespaces_work() -> bool:
    if shutil.which(NAMESPACE[0]) is None:
        return False
    return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def enterable(path: Path, launch: Launch) -> Path:
    """`path` itself, or a directory standing in for it that the launched server may enter."""
    if launch.user is None or _open_to_all(path):
        return path
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    return SHELTER / f"billfleet-{digest}" / path.name


def secure_shelter(path: Path) -> None:
    """Create the folder around a stand-in; refuse one that somebody else has put there.

    Everybody may write beside it, so a foreign folder or link could make root give away files.
    """
    shelter = path.parent
    if shelter.parent != SHELTER:
        return
    shelter.mkdir(mode=0o711, exist_ok=True)
    found = shelter.lstat()
    writable = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or writable:
        raise ConfigurationWrong(
            "This folder belongs to somebody else and cannot be trusted with a database",
            where=str(shelter),
            remedy="Remove it, or set BILLFLEET_HOME to a directory that all users may enter.",
        )


def remove_shelter(path: Path) -> None:
    """Remove the folder around a stand-in, once the stand-in is gone."""
    if path.parent.parent == SHELTER and path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()


def _open_to_all(path: Path) -> bool:
    return all(
        parent.stat().st_mode & stat.S_IXOTH
        for parent in path.absolute().parents
        if parent.exists()
    )


def give(path: Path, owner: int) -> None:
    """Make `owner` the owner of everything under `path`; only root can, only root needs to."""
    if os.geteuid() != 0 or path.stat().st_uid == owner:
        return
    for folder, _, names in os.walk(path):
        os.chown(folder, owner, owner)
        for name in names:
            os.chown(Path(folder, name), owner, owner, follow_symlinks=False)
