"""The embedded AWS endpoint: the ministack emulator as a server of the embedded stack.

`stack` starts it for `billfleet up`, the test fixtures start it for tests. It listens on
loopback only, sees none of the caller's AWS credentials and never talks to docker. Its queues,
topics and tables are saved when it stops: SIGTERM keeps them, killing the emulator itself does
not. It knows nothing of what is deployed on it.
"""

import http.client
import os
import shutil
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from billfleet_ops.errors import (
    BinariesMissing,
    NotReady,
    OpsError,
    PortOccupied,
    disk_full,
    file_errors_mapped,
    not_permitted,
)
from billfleet_ops.local import ports
from billfleet_ops.local.home import Home
from billfleet_ops.local.process import POLL_S, ServerProcess, pid_in, stop_leftover

STOP_SIGNALS = ("TERM", "KILL")
STOP_GRACE_S = 20.0
READY_PATH = "/_ministack/ready"
REGION = "us-east-1"
LOCAL_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
"""Any pair is accepted by the emulator; these are no secret and open nothing else."""


class EmbeddedAws:
    """One emulator with its state under `home`; `start`, then `endpoint_url`.

    Without `port` the one from last time is taken, or a free one when that is occupied.
    """

    def __init__(
        self,
        home: Path,
        port: int | None = None,
        *,
        region: str = REGION,
        keep_state: bool = True,
        ready_timeout_s: float = 30.0,
    ) -> None:
        self.home = Home(home)
        self.region = region
        self.port = port or 0
        self._wanted_port = port
        self._keep_state = keep_state
        self._ready_timeout_s = ready_timeout_s
        self._place = self.home.place("aws")
        # Python ignores -X options that it does not know; this one tells our emulator from others.
        self._marker = f"billfleet={self._place}"
        self._server: ServerProcess | None = None
        self._log_offset_bytes = 0

    @property
    def endpoint_url(self) -> str:
        """What AWS_ENDPOINT_URL is to be set to."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """The variables with which any AWS client reaches this endpoint."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            **LOCAL_CREDENTIALS,
        }

    def start(self) -> None:
        """Start the emulator with the state it had, and return when it answers."""
        if self.is_alive():
            return
        if find_spec("ministack") is None:
            raise BinariesMissing(
                "The embedded AWS endpoint is not installed",
                where="package ministack",
                remedy="Run `pip install 'billfleet[local]'`, or set AWS_ENDPOINT_URL.",
            )
        self.home.prepare()
        with file_errors_mapped(self._place):
            (self._place / "tmp").mkdir(parents=True, exist_ok=True)
            self.clear_leftover()
        self._choose_port()
        self._run()

    def stop(self) -> None:
        """Stop the emulator after it has saved its state."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def restart(self) -> None:
        """Stop and start on the same port, with the same queues, topics and tables."""
        port = self.port
        self.stop()
        self._wanted_port = port
        self.start()

    def is_alive(self) -> bool:
        """Whether the server we started still runs."""
        return self._server is not None and self._server.is_alive()

    def forget(self) -> None:
        """Delete all queues, topics, tables and their content."""
        with file_errors_mapped(self._place):
            self.clear_leftover()
            if self._place.exists():
                shutil.rmtree(self._place)

    def clear_leftover(self) -> None:
        """Stop an emulator that a killed process left behind, giving it time to save."""
        pid_path = self.home.pid_path("aws")
        pid = pid_in(pid_path)
        if pid is not None:
            stop_leftover(pid, self._marker, signals=STOP_SIGNALS[:1], grace_s=STOP_GRACE_S)
        pid_path.unlink(missing_ok=True)

    def _choose_port(self) -> None:
        if self._wanted_port is None:
            self.port = self.home.choose_port("aws")
            return
        self.port = self._wanted_port
        if not ports.is_free(self.port):
            raise self._occupied()
        self.home.remember_port("aws", self.port)

    def _run(self) -> None:
        self._server = ServerProcess(
            command=[sys.executable, "-X", self._marker, "-m", "ministack"],
            environment=self._server_environment(),
            log_path=self._place / "server.log",
            pid_path=self.home.pid_path("aws"),
            stop_signals=STOP_SIGNALS,
            grace_s=STOP_GRACE_S,
        )
        self._log_offset_bytes = self._server.log_size()
        self._server.start()
        self._wait_until_ready(self._server)

    def _server_environment(self) -> dict[str, str]:
        """Everything it is told; nothing is inherited, so no real credential can reach it."""
        place = self._place
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(place),
            "TMPDIR": str(place / "tmp"),
            "TZ": "UTC",
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": self.region,
            "PERSIST_STATE": "1" if self._keep_state else "0",
            "STATE_DIR": str(place / "state"),
            "S3_PERSIST": "1" if self._keep_state else "0",
            "S3_DATA_DIR": str(place / "s3"),
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "DOCKER_HOST": f"unix://{place / 'no-docker.sock'}",
            "LOG_LEVEL": "WARNING",
            # Of presigned S3 addresses it checks the signature, so it must know the pair.
            **LOCAL_CREDENTIALS,
        }

    def _wait_until_ready(self, server: ServerProcess) -> None:
        deadline = time.monotonic() + self._ready_timeout_s
        while not self._answers():
            if not server.is_alive() or time.monotonic() > deadline:
                self.stop()
                raise self._explained(server.log_since(self._log_offset_bytes))
            time.sleep(POLL_S)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", READY_PATH)
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _explained(self, log: str) -> OpsError:
        if "No space left on device" in log:
            return disk_full(str(self._place))
        if "already in use" in log:
            return self._occupied()
        if "Permission denied" in log or "Read-only file system" in log:
            return not_permitted(str(self._place))
        last = log.strip().splitlines()[-3:] or ["it said nothing"]
        return NotReady(
            f"The embedded AWS endpoint did not start: {' / '.join(last)}",
            where=str(self._place / "server.log"),
            remedy="Read the log; `billfleet up --fresh` starts over with empty data.",
        )

    def _occupied(self) -> PortOccupied:
        return PortOccupied(
            f"Port {self.port} is occupied by another program; the AWS endpoint cannot listen",
            where=f"127.0.0.1:{self.port}",
            remedy="Stop that program, or choose another port with --aws-port.",
        )
