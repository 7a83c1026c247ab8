"""The world that analytics tests play in."""

from pathlib import Path

import pytest

from analytics_world import World
from billfleet_db import Database
from billfleet_ops.cli import run
from loyalty_world import Say


@pytest.fixture
async def world(database: Database) -> World:
    """A tenant in Berlin that has counted nothing."""
    world = World(database)
    await world.seed(time_zone="Europe/Berlin")
    return world


@pytest.fixture
def stack(
    deployed_stack: str, aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> str:
    """The test's stack, named to the commands."""
    monkeypatch.setenv("BILLFLEET_STACK", deployed_stack)
    return deployed_stack


@pytest.fixture
def say(
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Say:
    """Runs a command line against the test's database."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("BILLFLEET_HOME", str(tmp_path / "home"))

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return command
