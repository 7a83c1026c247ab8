"""`billfleet up` as people use it: started, killed, started again, stopped with Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from billfleet_ops.exits import Exit

BILLFLEET = [sys.executable, "-m", "billfleet_ops"]
READY = "The fleet runs"

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment that names nothing, so that everything is embedded."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "BILLFLEET_", "DATABASE_", "MIGRATION_"))
    }
    return {**kept, "BILLFLEET_HOME": str(tmp_path / "home"), "BILLFLEET_LOG_FORMAT": "json"}


@pytest.fixture
def start(environ: dict[str, str]) -> Iterator[Start]:
    """Starts a command and kills it at the end, if it still runs."""
    started: list[subprocess.Popen[str]] = []

    def start_one(*arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [*BILLFLEET, *arguments],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()
        process.communicate()


def _await_ready(stream: IO[str] | None) -> None:
    _await_line(stream, READY)


def _await_line(stream: IO[str] | None, words: str) -> None:
    assert stream is not None
    seen: list[str] = []
    for line in stream:
        seen.append(line)
        if words in line:
            return
    pytest.fail("".join(seen))


def test_up_survives_a_kill_and_drains_on_ctrl_c(start: Start, environ: dict[str, str]) -> None:
    killed = start("up")
    _await_ready(killed.stdout)
    killed.kill()
    killed.wait()
    again = start("up")
    _await_ready(again.stdout)
    seen = subprocess.run(
        [*BILLFLEET, "status", "--json"], env=environ, capture_output=True, text=True, check=False
    )
    assert (seen.returncode, seen.stderr) == (Exit.OK, "")
    again.send_signal(signal.SIGINT)
    output, _ = again.communicate(timeout=60)
    assert again.returncode == Exit.OK, output
    assert "Traceback" not in output


@pytest.mark.parametrize("server", ["postgres", "aws"])
def test_up_starts_a_server_again_that_was_killed(
    start: Start, environ: dict[str, str], server: str
) -> None:
    up = start("up")
    _await_line(up.stdout, READY)
    home = Path(environ["BILLFLEET_HOME"])
    os.kill(json.loads((home / "state" / f"{server}.pid.json").read_text())["pid"], signal.SIGKILL)
    _await_line(up.stdout, "ended by itself")
    _await_line(up.stdout, "is back.")
    seen = subprocess.run(
        [*BILLFLEET, "doctor", "--json"], env=environ, capture_output=True, text=True, check=False
    )
    assert (seen.returncode, seen.stderr) == (Exit.OK, ""), seen.stdout
    up.send_signal(signal.SIGTERM)
    output, _ = up.communicate(timeout=60)
    assert up.returncode == Exit.OK, output


def test_fresh_without_anybody_to_ask_deletes_nothing(start: Start, tmp_path: Path) -> None:
    output, _ = (refused := start("up", "--fresh")).communicate(timeout=60)
    assert refused.returncode == Exit.REFUSED
    assert "--yes" in output
    assert not (tmp_path / "home" / "postgres").exists()


def test_a_wrong_setting_is_one_clear_message(start: Start, environ: dict[str, str]) -> None:
    environ["BILLFLEET_STATSD_PORT"] = "many"
    output, _ = (refused := start("worker", "run", "--all")).communicate(timeout=60)
    assert refused.returncode == Exit.CONFIGURATION
    assert "BILLFLEET_STATSD_PORT" in output
    assert "Traceback" not in output


def test_a_wrong_database_url_is_one_clear_message(start: Start, environ: dict[str, str]) -> None:
    environ["DATABASE_URL"] = "mysql://root:s3cret@localhost/shop"
    output, _ = (refused := start("migrate")).communicate(timeout=60)
    assert refused.returncode == Exit.CONFIGURATION
    assert "postgresql://" in output
    assert "s3cret" not in output
