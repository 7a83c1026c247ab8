"""The units that `billfleet install systemd` writes: complete, hardened, safe to write again."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from billfleet_ops.schedules import SCHEDULES
from billfleet_ops.systemd_units import SERVICES, UNITS, unit_files, write

EXPOSURE_MAX = 2.0
RELAY_DRAIN_S, END_S = 5, 10
# The settings that weigh most in `systemd-analyze security`; held where that program is not.
HELD = (
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=\n",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateDevices=yes",
    "PrivateUsers=yes",
    "RestrictNamespaces=yes",
    "SystemCallFilter=@system-service",
    "MemoryDenyWriteExecute=yes",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
)
FILES = {
    file.path.name: file for file in unit_files(executable=Path("/bin/true"), user="billfleet")
}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_exposed_less_than_two(name: str, tmp_path: Path) -> None:
    text = FILES[name].text
    assert [line for line in HELD if line not in text] == []
    program = shutil.which("systemd-analyze")
    if program is None:
        return
    unit = tmp_path / name
    unit.write_text(text)
    said = subprocess.run(
        [program, "security", "--offline=yes", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    scored = re.search(r"exposure level for \S+: ([0-9.]+)", said.stdout)
    assert scored, said.stderr
    assert float(scored[1]) < EXPOSURE_MAX


def test_a_worker_is_notified_watched_and_drains_before_it_is_killed() -> None:
    text = FILES["billfleet-worker@.service"].text
    assert "Type=notify" in text
    assert "Restart=always" in text
    assert int(_value(text, "WatchdogSec")) >= 30
    drain_s = int(re.findall(r"BILLFLEET_DRAIN_DEADLINE_S=(\d+)", text)[0])
    assert drain_s + RELAY_DRAIN_S + END_S <= int(_value(text, "TimeoutStopSec"))


def test_every_sweep_has_a_timer_that_makes_up_for_a_machine_that_was_off() -> None:
    for schedule in SCHEDULES:
        text = FILES[f"billfleet-sweep-{schedule.sweep}.timer"].text
        assert f"Unit=billfleet-sweep@{schedule.sweep}.service" in text
        assert f"OnCalendar={schedule.calendar} UTC" in text
        assert "Persistent=true" in text


def test_no_placeholder_is_left() -> None:
    for file in FILES.values():
        assert re.findall(r"@[A-Z]+@", file.text) == [], file.path


def test_writing_again_changes_nothing_and_keeps_the_settings_of_the_machine(
    tmp_path: Path,
) -> None:
    files = list(FILES.values())
    assert len(write(files, tmp_path)) == len(files)
    settings = tmp_path / "etc/billfleet/billfleet.env"
    settings.write_text("BILLFLEET_STACK=mine\n")
    (tmp_path / UNITS / SERVICES[0]).write_text("changed by hand")
    assert write(files, tmp_path) == [tmp_path / UNITS / SERVICES[0]]
    assert settings.read_text() == "BILLFLEET_STACK=mine\n"
    assert settings.stat().st_mode & 0o007 == 0


def _value(text: str, name: str) -> str:
    found = re.search(rf"^{name}=(\d+)", text, re.MULTILINE)
    assert found, name
    return found[1]
