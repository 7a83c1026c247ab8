"""The systemd units of this version: the worker, the sweep, and a timer for every sweep.

`billfleet install systemd` writes them. The texts lie in ops/systemd; here the machine's values
are put in, and the hardening that worker and sweep share. It starts nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from billfleet_ops.errors import file_errors_mapped
from billfleet_ops.schedules import SCHEDULES, Schedule

_PACKAGE = Path(__file__).parent
UNITS = Path("etc/systemd/system")
SETTINGS = Path("etc/billfleet/billfleet.env")
SERVICES = ("billfleet-worker@.service", "billfleet-sweep@.service")
PRIVATE_MODE = 0o640
PUBLIC_MODE = 0o644


@dataclass(frozen=True)
class UnitFile:
    """One file to be written below the prefix. `is_kept`: what is there already stays."""

    path: Path
    text: str
    mode: int = PUBLIC_MODE
    is_kept: bool = False


def unit_files(*, executable: Path, user: str) -> list[UnitFile]:
    """Every file of an installation, paths relative to the prefix."""
    machine = {"BILLFLEET": str(executable), "USER": user, "HARDENING": _text("hardening.conf")}
    files = [UnitFile(UNITS / name, _filled(_text(name), machine)) for name in SERVICES]
    files += [_timer(schedule) for schedule in SCHEDULES]
    files.append(UnitFile(SETTINGS, _text("billfleet.env"), PRIVATE_MODE, is_kept=True))
    return files


def write(files: list[UnitFile], prefix: Path) -> list[Path]:
    """Write them; returns the paths that are new or changed."""
    changed = []
    for file in files:
        path = prefix / file.path
        with file_errors_mapped(path):
            if path.exists() and (file.is_kept or path.read_text() == file.text):
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.text)
            path.chmod(file.mode)
        changed.append(path)
    return changed


def _timer(schedule: Schedule) -> UnitFile:
    values = {"SWEEP": schedule.sweep, "SAYS": schedule.says, "CALENDAR": schedule.calendar}
    name = f"billfleet-sweep-{schedule.sweep}.timer"
    return UnitFile(UNITS / name, _filled(_text("billfleet-sweep.timer"), values))


def _filled(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"@{name}@", value.rstrip("\n"))
    return text


def _text(name: str) -> str:
    """Inside the package when installed from a wheel, beside it in a checkout."""
    inside = _PACKAGE / "systemd"
    folder = inside if inside.is_dir() else _PACKAGE.parent / "systemd"
    return (folder / name).read_text()
