"""The `billfleet` command: its subcommands, assembled from `commands`, and its one way to end.

The console script calls `main`. Each module of `commands` is named like its command and has
`register(app)`, which adds it. Errors become exit codes in `endings`; nothing else is decided
here.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated, NoReturn

import typer

from billfleet_ops import commands
from billfleet_ops.configuration import home_directory
from billfleet_ops.endings import end
from billfleet_ops.output import Output
from billfleet_ops.release import release
from billfleet_ops.teaching import lesson

FIRST = (
    "up",
    "demo",
    "worker",
    "sweep",
    "accounts",
    "ledger",
    "payments",
    "status",
    "top",
    "console",
    "doctor",
    "replay_dlq",
)
"""The order of the day in `--help`; a module that is not named here follows by alphabet."""

EPILOG = lesson(
    ("billfleet up", "PostgreSQL, an AWS endpoint and the fleet on this machine"),
    ("billfleet sweep rebill", "enqueue every account that is due"),
    ("billfleet status", "what waits, what failed, how old it is"),
    ("billfleet doctor", "what is wrong with this installation and what to do"),
)


def build(asked_for: str | None = None) -> typer.Typer:
    """The command line: only the command that is asked for, so that it starts fast, or all."""
    modules = command_modules()
    module = (asked_for or "").replace("-", "_")
    app = typer.Typer(
        name="billfleet",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        epilog=EPILOG,
    )
    app.callback()(_billfleet)
    for name in [module] if module in modules else modules:
        import_module(f"{commands.__name__}.{name}").register(app)
    return app


def command_modules() -> list[str]:
    """The modules of `commands`, in the order in which `--help` lists them."""
    found = {module.name for module in iter_modules(commands.__path__)}
    named = [name for name in FIRST if name in found]
    return named + sorted(found - set(named))


def _print_version(asked: bool) -> None:
    if asked:
        Output().say(f"billfleet {release()}")
        raise typer.Exit


def _billfleet(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and end."
        ),
    ] = False,
) -> None:
    """Billing work from a queue to a balanced ledger, done exactly once in effect.

    Everything is set by environment variables. What they leave open is embedded: `billfleet up`
    brings its own PostgreSQL and AWS endpoint, and DATABASE_URL or AWS_ENDPOINT_URL replace them.
    """


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    asked_for = arguments[0] if arguments else None
    return end(
        lambda: build(asked_for)(args=list(arguments), prog_name="billfleet"),
        output=Output(),
        home=home_directory(),
        debug=os.environ.get("BILLFLEET_DEBUG") == "1",
    )


def main() -> NoReturn:
    """The console script."""
    sys.exit(run(sys.argv[1:]))
