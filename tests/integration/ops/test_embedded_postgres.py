"""The embedded PostgreSQL: starts, keeps its data, and says clearly why it cannot start."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from billfleet_ops.errors import ConfigurationWrong, NotReady, PortOccupied
from billfleet_ops.exits import Exit
from billfleet_ops.local.postgres import EmbeddedPostgres
from billfleet_ops.local.process import command_of, pid_in
from billfleet_ops.local.rootless import NOBODY, Launch


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("postgres-home")


@pytest.fixture(scope="module")
def shared(home: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(home)
    server.start()
    server.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1);")
    yield server
    server.stop()


@pytest.fixture
def server(shared: EmbeddedPostgres) -> EmbeddedPostgres:
    shared.start()
    return shared


def _postmaster(server: EmbeddedPostgres) -> int:
    pid = pid_in(server.home.pid_path("postgres"))
    assert pid is not None
    return pid


def test_data_and_port_survive_a_restart(server: EmbeddedPostgres) -> None:
    port = server.port
    server.restart()
    assert server.port == port
    assert server.execute("SELECT n FROM kept") == "1\n"


def test_the_port_lies_below_those_of_outgoing_connections(server: EmbeddedPostgres) -> None:
    assert 20_000 <= server.port < 32_768


def test_starting_twice_changes_nothing(server: EmbeddedPostgres) -> None:
    before = _postmaster(server)
    server.start()
    assert _postmaster(server) == before


def test_passwords_are_asked_for_and_kept_from_others(server: EmbeddedPostgres) -> None:
    secret = server.home.secrets / "postgres.password"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.home.secrets.stat().st_mode) == 0o700
    password = secret.read_text()
    assert password not in command_of(_postmaster(server))
    assert password not in (server.home.root / "postgres" / "server.log").read_text()
    secret.write_text("wrong")
    with pytest.raises(NotReady, match="password authentication failed"):
        server.execute("SELECT 1")
    secret.write_text(password)


def test_data_survives_the_kill_of_the_server_itself(server: EmbeddedPostgres) -> None:
    server.execute("INSERT INTO kept VALUES (2);")
    os.kill(_postmaster(server), signal.SIGKILL)
    server.stop()
    server.start()
    assert server.execute("SELECT max(n) FROM kept") == "2\n"


def test_an_occupied_port_is_named_with_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortOccupied, match=str(port)) as refused:
            EmbeddedPostgres(tmp_path, port, durable=False).start()
    assert "--postgres-port" in refused.value.remedy
    assert refused.value.code == Exit.CONFIGURATION


def test_a_remembered_port_that_is_taken_is_replaced(shared: EmbeddedPostgres) -> None:
    shared.stop()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", shared.port))
        taken.listen()
        again = EmbeddedPostgres(shared.home.root)
        again.start()
        assert again.port != taken.getsockname()[1]
        assert again.execute("SELECT count(*) > 0 FROM kept") == "t\n"
        again.stop()


def test_a_lock_file_that_names_a_stranger_does_not_stop_the_start(
    shared: EmbeddedPostgres, home: Path
) -> None:
    shared.stop()
    lock = home / "postgres" / "data" / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{lock.parent}\n1\n1\n\n127.0.0.1\n 1 1\nready   \n")
    shared.start()
    assert shared.execute("SELECT 1") == "1\n"


def test_a_server_left_by_a_killed_process_is_stopped_and_its_data_used(
    shared: EmbeddedPostgres, home: Path
) -> None:
    shared.stop()
    script = (
        "import os, sys; from pathlib import Path;"
        "from billfleet_ops.local.postgres import EmbeddedPostgres;"
        "from billfleet_ops.local.process import pid_in; import json;"
        "s = EmbeddedPostgres(Path(sys.argv[1])); s.start();"
        "s.execute('INSERT INTO kept VALUES (3);');"
        "p = s.home.pid_path('postgres'); t = json.loads(p.read_text())['tether'];"
        # Its tether dies first, so that nobody is left to stop the server.
        "os.kill(t, 9); print(pid_in(p), flush=True); os.kill(os.getpid(), 9)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(home)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    orphan = int(ran.stdout)
    assert "postgres" in command_of(orphan)
    shared.start()
    assert command_of(orphan) == ""
    assert shared.execute("SELECT max(n) FROM kept") == "3\n"


def test_an_initialisation_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    unfinished = tmp_path / "postgres" / "data.new"
    unfinished.mkdir(parents=True)
    (unfinished / "half").write_text("")
    (tmp_path / "postgres" / "data").mkdir()
    server = EmbeddedPostgres(tmp_path, durable=False)
    server.start()
    server.stop()
    assert not unfinished.exists()
    assert not (tmp_path / "postgres" / "data" / "half").exists()


def test_data_of_another_major_version_is_refused_untouched(tmp_path: Path) -> None:
    data = tmp_path / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("12\n")
    with pytest.raises(ConfigurationWrong, match="made by PostgreSQL 12"):
        EmbeddedPostgres(tmp_path).start()
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_a_home_that_is_a_file_is_refused_in_an_operators_words(tmp_path: Path) -> None:
    occupied = tmp_path / "home"
    occupied.write_text("")
    with pytest.raises(ConfigurationWrong) as refused:
        EmbeddedPostgres(occupied).start()
    assert "BILLFLEET_HOME" in refused.value.remedy


def test_the_default_is_durable_and_works_without_user_namespaces(tmp_path: Path) -> None:
    # Root without namespaces becomes nobody, in a place that nobody may enter.
    launch = Launch(user=NOBODY) if os.geteuid() == 0 else Launch()
    server = EmbeddedPostgres(tmp_path, launch=launch)
    server.start()
    try:
        assert server.execute("SHOW fsync") == "on\n"
        assert server.execute("SHOW synchronous_commit") == "on\n"
    finally:
        server.stop()
        server.forget()
    assert not (tmp_path / "secrets" / "postgres.password").exists()
