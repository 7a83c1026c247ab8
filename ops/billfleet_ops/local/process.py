"""A server of the embedded stack as a process: started, watched, stopped, found again.

`postgres` and `aws` use it. The server runs under `tether`, so it ends with its owner even
after kill -9; what is nevertheless left over is recognised by its pid file and its command
line and stopped before the next start. It knows no server's own protocol.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from billfleet_ops.errors import file_errors_mapped

TETHER = Path(__file__).with_name("tether.py")
POLL_S = 0.02


@dataclass
class ServerProcess:
    """One server: how it is started, how it is asked to stop, where it leaves its traces."""

    command: Sequence[str]
    environment: Mapping[str, str]
    log_path: Path
    pid_path: Path
    stop_signals: Sequence[str]
    """Names of the signals that stop it, from polite to final."""
    grace_s: float
    """How long each of those signals is given."""
    user: int | None = None
    _tether: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    def start(self) -> None:
        """Start the server under its tether. Whether it is ready is the caller's question."""
        with file_errors_mapped(self.log_path):
            self.log_path.parent.mkdir(parents=True, exist_ok=True)
            with self.log_path.open("ab") as log:
                self._tether = subprocess.Popen(
                    self._tether_command(),
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env=dict(self.environment),
                    start_new_session=True,
                )

    def _tether_command(self) -> list[str]:
        options = ["--pid-file", str(self.pid_path), "--stop", ",".join(self.stop_signals)]
        options += ["--grace-s", str(self.grace_s)]
        if self.user is not None:
            options += ["--user", str(self.user)]
        return [sys.executable, "-I", "-S", str(TETHER), *options, "--", *self.command]

    def is_alive(self) -> bool:
        """Whether the server we started still runs."""
        return self._tether is not None and self._tether.poll() is None

    def stop(self) -> None:
        """Ask the server to stop and wait until it has. Stopping a stopped one does nothing."""
        if self._tether is None:
            return
        if self._tether.stdin is not None:
            self._tether.stdin.close()
        self._tether.wait()
        self._tether = None

    def log_size(self) -> int:
        """Bytes in the log so far; give it to `log_since` to read only what comes later."""
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def log_since(self, offset: int, *, characters_max: int = 4000) -> str:
        """What the server has logged since `offset`, at most the last part of it."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")[-characters_max:]


def stop_leftover(pid: int, marker: str, *, signals: Sequence[str], grace_s: float) -> bool:
    """Stop the process `pid` if its command line holds `marker`; say whether it was there."""
    if marker not in command_of(pid):
        return False
    for name in (*signals, "KILL"):
        try:
            os.kill(pid, signal.Signals[f"SIG{name}"])
        except ProcessLookupError:
            return True
        if _gone_within(pid, marker, grace_s):
            return True
    return True


def pid_in(path: Path) -> int | None:
    """The server's pid from a pid file of the tether, or None when there is none to read."""
    try:
        recorded = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    pid = recorded.get("pid") if isinstance(recorded, dict) else None
    return pid if isinstance(pid, int) else None


def command_of(pid: int) -> str:
    """The command line of a process, or an empty string when it is gone or a zombie."""
    proc = Path("/proc")
    if (proc / "self").exists():
        try:
            return (proc / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, UnicodeDecodeError):
            return ""
    shown = subprocess.run(
        ["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return shown.stdout.strip()


def _gone_within(pid: int, marker: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if marker not in command_of(pid):
            return True
        time.sleep(POLL_S)
    return False
