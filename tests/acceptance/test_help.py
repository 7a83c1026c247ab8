"""Every command teaches: `--help` works, ends with 0, shows an example and the exit codes."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from billfleet_ops.cli import build, run
from billfleet_ops.exits import Exit


def _lines_of(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from _lines_of(inner, (*path, name))


COMMANDS = list(_lines_of(typer.main.get_command(build())))


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "billfleet")
def test_help_teaches_with_an_example(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*path, "--help"]) == Exit.OK
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "Usage: billfleet" in shown.out
    assert "billfleet " + " ".join(path) in shown.out
    assert "Example" in shown.out
    assert "$ " in shown.out
    if path:
        assert "Exit codes" in " ".join(shown.out.split())


@pytest.mark.parametrize("path", [("up",), ("worker", "run"), ("status",), ("doctor",)])
def test_an_unknown_option_is_a_usage_error(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*path, "--no-such-option"]) == Exit.USAGE
    assert "Traceback" not in capsys.readouterr().err


def test_the_installed_module_runs_as_a_program() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "billfleet_ops", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "doctor" in ran.stdout


def test_replay_dlq_is_a_command_of_its_own() -> None:
    start = "from billfleet_ops.commands.replay_dlq import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", start, "replay", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "Usage: replay-dlq replay" in ran.stdout
