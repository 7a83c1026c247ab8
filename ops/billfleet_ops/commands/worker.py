"""`billfleet worker run` and `worker list`: the fleet on real endpoints, under systemd or ECS.

It starts workers through `billfleet_workers.main` and never reaches into a handler. The lines
between start and exit code are the fleet's own log.
"""

from collections.abc import Sequence
from typing import Annotated

import typer

from billfleet_contracts import QUEUES
from billfleet_ops.configuration import load_settings
from billfleet_ops.errors import OpsError, UsageWrong
from billfleet_ops.output import Output
from billfleet_ops.runbooks import Runbook
from billfleet_ops.teaching import lesson

RUN_EPILOG = lesson(
    ("billfleet worker run rebill collect", "these two, until SIGTERM or Ctrl-C"),
    ("billfleet worker run --all", "every worker of this version in one process"),
    ("BILLFLEET_DRAIN_DEADLINE_S=60 billfleet worker run --all", "more time to finish at the end"),
)
LIST_EPILOG = lesson(
    ("billfleet worker list", "names and the queues that they read"),
    ("billfleet worker list --json", "the same for a program"),
)

workers = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(
        workers,
        name="worker",
        help="Run the fleet's workers, or list them.",
        epilog=lesson(("billfleet worker run --all", "every worker in one process")),
    )


@workers.command("run", epilog=RUN_EPILOG)
def run(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME…", help="Workers to run.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Run every worker.")] = False,
) -> None:
    """Run workers until SIGTERM or Ctrl-C, then drain.

    Draining stops receiving, finishes what is in flight and hands back at once what was not
    started. It ends with 0 when every received message is accounted for, and with 1 otherwise.
    """
    # Imported here, because no other command should wait for the whole fleet to load.
    from billfleet_workers.main import WORKERS
    from billfleet_workers.main import run as run_workers

    settings = load_settings()
    report = run_workers(settings, chosen(names or [], known=list(WORKERS), every=every))
    if not report.adds_up:
        raise OpsError(
            "The drain does not add up: not every received message is accounted for",
            where=f"stack {settings.stack}",
            remedy=f"SQS delivers them again by itself. See {Runbook.DRAIN}.",
        )


@workers.command("list", epilog=LIST_EPILOG)
def list_workers(
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
) -> None:
    """List the workers of this version and the queues that they read."""
    from billfleet_workers.main import WORKERS

    output = Output()
    known = [
        {
            "name": name,
            "does": does,
            "queues": [spec.name for spec in QUEUES.values() if spec.worker == name],
        }
        for name, does in WORKERS.items()
    ]
    if as_json:
        output.json(known)
        return
    rows = [(str(row["name"]), str(row["does"]), ", ".join(row["queues"])) for row in known]
    output.table(["worker", "does", "reads"], rows)


def chosen(names: Sequence[str], *, known: Sequence[str], every: bool) -> list[str]:
    """The workers to run; asking for none, for both, or for an unknown one is refused."""
    if every == bool(names):
        raise UsageWrong(
            "Name the workers to run, or give --all, and not both",
            where="billfleet worker run",
            remedy=f"The workers are: {', '.join(known)}.",
        )
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageWrong(
            f"There is no worker called {', '.join(unknown)}",
            where="billfleet worker run",
            remedy=f"The workers are: {', '.join(known)}.",
        )
    return list(known) if every else list(dict.fromkeys(names))
