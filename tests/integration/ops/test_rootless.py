"""Root's stand-in folder for a server that runs as nobody is never somebody else's."""

import os
from pathlib import Path

import pytest

from billfleet_ops.errors import ConfigurationWrong
from billfleet_ops.local.rootless import (
    NOBODY,
    SHELTER,
    Launch,
    enterable,
    remove_shelter,
    secure_shelter,
)


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    return folder / "postgres"


def test_a_folder_that_nobody_may_not_enter_gets_a_stand_in(closed: Path) -> None:
    stand_in = enterable(closed, Launch(user=NOBODY))
    assert stand_in.parent.parent == SHELTER
    assert enterable(closed, Launch()) == closed


def test_a_stand_in_is_made_for_its_owner_and_removed_when_empty(closed: Path) -> None:
    stand_in = enterable(closed, Launch(user=NOBODY))
    secure_shelter(stand_in)
    secure_shelter(stand_in)
    assert stand_in.parent.stat().st_uid == os.geteuid()
    remove_shelter(stand_in)
    assert not stand_in.parent.exists()


def test_a_link_or_a_folder_open_to_all_in_its_place_is_refused(
    closed: Path, tmp_path: Path
) -> None:
    stand_in = enterable(closed, Launch(user=NOBODY))
    stand_in.parent.symlink_to(tmp_path)
    try:
        with pytest.raises(ConfigurationWrong, match="somebody else"):
            secure_shelter(stand_in)
    finally:
        stand_in.parent.unlink()
    stand_in.parent.mkdir()
    stand_in.parent.chmod(0o777)
    try:
        with pytest.raises(ConfigurationWrong, match="somebody else"):
            secure_shelter(stand_in)
    finally:
        stand_in.parent.rmdir()
