"""Files that `--help` shows whole are read by the command, as they are copied from there."""

import textwrap
from pathlib import Path

import pytest

from billfleet_ops import cli
from billfleet_ops.commands.business import BusinessFile
from billfleet_ops.programme_file import read_programme
from billfleet_ops.yaml_file import read_model


def copied(out: str, at: Path) -> Path:
    """The file that stands between its announcement and the examples."""
    shown = out.partition("(JSON is taken as well):\n\n")[2].partition("\n\n  Examples:\n")[0]
    at.write_text(textwrap.dedent(shown))
    return at


def test_business_of_the_help_is_a_business(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.run(["business", "set", "--help"])
    file = copied(capsys.readouterr().out, tmp_path / "acme.yaml")
    assert read_model(file, BusinessFile, what="", remedy="").staff[0].store == "north-1"


def test_programme_of_the_help_is_a_programme(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.run(["loyalty", "programme", "set", "--help"])
    file = copied(capsys.readouterr().out, tmp_path / "club.yaml")
    assert [reward.reward for reward in read_programme(file).rewards] == ["mug", "coffee"]
