"""The directory that holds everything the embedded stack remembers (BILLFLEET_HOME).

`postgres`, `aws` and `stack` take their paths, ports and secrets from here; `cli` puts crash
reports here. One process at a time may run a stack in a home: `lock` sees to that. It knows
what is where, and nothing of what the servers do with it.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from billfleet_ops.errors import HomeInUse, file_errors_mapped
from billfleet_ops.local import ports


class Home:
    """Paths, remembered ports and secrets under one directory, created when first needed."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.state = self.root / "state"
        self.secrets = self.root / "secrets"
        self.crashes = self.root / "crashes"

    def prepare(self) -> None:
        """Create the directories; the secrets are readable by their owner alone."""
        with file_errors_mapped(self.root):
            self.state.mkdir(parents=True, exist_ok=True)
            self.secrets.mkdir(mode=0o700, exist_ok=True)
            ignore = self.root / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n")

    def place(self, server: str) -> Path:
        """The directory of one server's data and log."""
        return self.root / server

    def pid_path(self, server: str) -> Path:
        """Where the tether of one server leaves its pid."""
        return self.state / f"{server}.pid.json"

    def remembered_port(self, server: str) -> int | None:
        """The port this server had last time."""
        return self._ports().get(server)

    def choose_port(self, server: str) -> int:
        """A free port for the server: the remembered one if possible. It is remembered."""
        known = self._ports()
        last = known.get(server)
        if last is not None and ports.is_free(last):
            return last
        others = {port for name, port in known.items() if name != server}
        port = ports.choose(f"{self.root}/{server}", avoid=others)
        self.remember_port(server, port)
        return port

    def remember_port(self, server: str, port: int) -> None:
        """Keep the port for the next start."""
        known = self._ports() | {server: port}
        with file_errors_mapped(self.state):
            _replace(self.state / "ports.json", json.dumps(known, indent=1) + "\n", mode=0o644)

    def _ports(self) -> dict[str, int]:
        try:
            known = json.loads((self.state / "ports.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return {name: port for name, port in known.items() if isinstance(port, int)}

    def secret(self, name: str) -> str:
        """A password that is generated once and kept in a file of mode 0600."""
        path = self.secrets / name
        with file_errors_mapped(path):
            self.secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                _replace(path, secrets.token_urlsafe(24), mode=0o600)
            return path.read_text()

    def write_secret(self, name: str, text: str) -> None:
        """Keep a secret of the caller's making in a file of mode 0600."""
        with file_errors_mapped(self.secrets):
            self.secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
            _replace(self.secrets / name, text, mode=0o600)

    def forget_secret(self, name: str) -> None:
        """Delete a secret; the next one who asks for it gets a new one."""
        (self.secrets / name).unlink(missing_ok=True)

    def publish(self, environment: Mapping[str, str]) -> None:
        """Tell other commands of this user how to reach the running stack (mode 0600)."""
        with file_errors_mapped(self.secrets):
            _replace(self.secrets / "environment.json", json.dumps(dict(environment)), mode=0o600)

    def published(self) -> dict[str, str]:
        """How to reach the stack that runs in this home; empty when none does."""
        try:
            known = json.loads((self.secrets / "environment.json").read_text())
        except (OSError, ValueError):
            return {}
        return {str(name): str(value) for name, value in known.items()}

    def withdraw(self) -> None:
        """Say that no stack runs here any more."""
        self.forget_secret("environment.json")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the home for this process; the kernel lets go when the process ends, however."""
        self.prepare()
        with file_errors_mapped(self.root):
            handle = (self.state / "lock").open("a+")
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.seek(0)
                raise self._in_use(handle.read().strip()) from None
            handle.truncate(0)
            handle.write(f"{os.getpid()}\n")
            handle.flush()
            yield

    def _in_use(self, holder: str) -> HomeInUse:
        return HomeInUse(
            f"Process {holder or 'unknown'} already runs an embedded stack in this directory",
            where=str(self.root),
            remedy="Use that one, stop it, or set BILLFLEET_HOME to another directory.",
        )


def _replace(path: Path, text: str, *, mode: int) -> None:
    written = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    written.replace(path)
