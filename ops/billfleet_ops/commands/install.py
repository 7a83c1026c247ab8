"""`billfleet install systemd`: units for the workers and timers for the sweeps on this machine.

What is written is `systemd_units`'; this module chooses where, and says what to type next.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from billfleet_ops.output import Output
from billfleet_ops.schedules import SCHEDULES
from billfleet_ops.systemd_units import unit_files, write
from billfleet_ops.teaching import lesson

EPILOG = lesson(
    ("billfleet install systemd --dry-run", "which files it would write"),
    ("sudo billfleet install systemd", "write them; start nothing"),
    ("billfleet install systemd --prefix build/root", "into a folder, for a package"),
)

installs = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(
        installs,
        name="install",
        help="Put the fleet on this machine: units for systemd.",
        epilog=lesson(("billfleet install systemd --dry-run", "which files it would write")),
    )


@installs.callback()
def _install() -> None:
    """Put the fleet on this machine."""


@installs.command("systemd", epilog=EPILOG)
def systemd(
    prefix: Annotated[
        Path, typer.Option("--prefix", metavar="DIR", help="Write below this folder.")
    ] = Path("/"),
    user: Annotated[
        str, typer.Option("--user", metavar="NAME", help="The system user that runs them.")
    ] = "billfleet",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the files; write none.")] = False,
) -> None:
    """Write the units, the timers and a settings file to begin with.

    Nothing is started or enabled, and a settings file that is there is kept. Writing again after
    an upgrade changes only what is new.
    """
    output = Output()
    files = unit_files(executable=Path(sys.argv[0]).resolve(), user=user)
    if dry_run:
        for file in files:
            output.say(f"# {prefix / file.path}", "bold")
            output.say(file.text)
        return
    changed = write(files, prefix)
    for path in changed:
        output.say(f"wrote {path}")
    if not changed:
        output.say("Everything is as it should be; nothing was written.")
    output.note(
        "Then: useradd --system billfleet; fill /etc/billfleet/billfleet.env and pgpass (0600, "
        "owned by that user); systemctl daemon-reload; "
        "systemctl enable --now billfleet-worker@rebill billfleet-worker@relay "
        + " ".join(f"billfleet-sweep-{schedule.sweep}.timer" for schedule in SCHEDULES)
    )
