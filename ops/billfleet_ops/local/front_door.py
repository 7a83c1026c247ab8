"""The HTTP front door as a process beside the fleet of `billfleet up`.

It is started with the environment that the fleet has, watched like the embedded servers, and ends
with its owner. It knows the command that serves and nothing of HTTP.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from billfleet_ops.local.home import Home
from billfleet_ops.local.process import ServerProcess, pid_in, stop_leftover

STOP_SIGNALS = ("TERM", "KILL")
STOP_GRACE_S = 10.0
_MARKER = "billfleet_ops gateway"


class LocalFrontDoor:
    """One front door in `home`, on the port of last time or a free one."""

    name = "The front door"

    def __init__(self, home: Path, port: int | None = None) -> None:
        self.home = Home(home)
        self.port = port or self.home.choose_port("gateway")
        self._environment: Mapping[str, str] = {}
        self._server: ServerProcess | None = None

    @property
    def url(self) -> str:
        """Where people reach it."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it; it answers some moments later."""
        self._environment = environment
        pid_path = self.home.pid_path("gateway")
        pid = pid_in(pid_path)
        if pid is not None:
            stop_leftover(pid, _MARKER, signals=STOP_SIGNALS[:1], grace_s=STOP_GRACE_S)
        pid_path.unlink(missing_ok=True)
        self._server = ServerProcess(
            command=[sys.executable, "-m", "billfleet_ops", "gateway", "--port", str(self.port)],
            environment=environment,
            log_path=self.home.place("gateway") / "server.log",
            pid_path=pid_path,
            stop_signals=STOP_SIGNALS,
            grace_s=STOP_GRACE_S,
        )
        self._server.start()

    def stop(self) -> None:
        """Let it finish what is under way, and end."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self._server is not None and self._server.is_alive()

    def revive(self) -> str:
        """Start it again."""
        self.stop()
        self.start(self._environment)
        return "Requests that were under way were not answered; what was accepted is kept."
