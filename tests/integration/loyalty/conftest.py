"""The world that loyalty tests play in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from billfleet_db import Database
from billfleet_ops.cli import run
from loyalty_world import Say, World


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """An empty world; whatever a test does in it, the books must be right afterwards."""
    world = World(database)
    yield world
    assert await world.verify() == []


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
