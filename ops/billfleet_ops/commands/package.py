"""`billfleet package lambda`: a zip that AWS Lambda runs, made from what is installed here.

The packing is `lambda_zip`'s; this module takes the arguments and says what came of it.
"""

from pathlib import Path
from typing import Annotated

import typer

from billfleet_ops.lambda_zip import pack
from billfleet_ops.output import Output
from billfleet_ops.teaching import lesson

EPILOG = lesson(
    (
        "billfleet package lambda --leave-out pyarrow --leave-out duckdb",
        "without what only exports and analytics need",
    ),
    ("billfleet package lambda --output build/rebill.zip --json", "what is in it, for a program"),
)

packages = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(
        packages,
        name="package",
        help="Make what a host needs: the zip of a Lambda function.",
        epilog=lesson(("billfleet package lambda", "a zip with handlers and what they need")),
    )


@packages.callback()
def _package() -> None:
    """Make what a host needs."""


@packages.command("lambda", epilog=EPILOG)
def lambda_(
    output_path: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="Where to write the zip.")
    ] = Path("dist/billfleet-lambda.zip"),
    leave_out: Annotated[
        list[str] | None,
        typer.Option("--leave-out", metavar="NAME", help="A distribution that is not needed."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
) -> None:
    """Pack the handlers with what they require, for this platform and Python.

    The function's handler is `billfleet_workers.main.lambdas.handle` with BILLFLEET_WORKER set,
    triggered by the worker's queue with ReportBatchItemFailures; or
    `billfleet_workers.main.lambdas.sweep`, called by a schedule. Run this on the platform of the
    function (Amazon Linux 2023, the same Python).
    """
    packed = pack(output_path, leave_out=leave_out or [])
    output = Output()
    if as_json:
        output.json(
            {
                "path": packed.path,
                "unpacked_bytes": packed.unpacked_bytes,
                "zipped_bytes": packed.zipped_bytes,
                "distributions": packed.distributions,
            }
        )
        return
    output.say(
        f"{packed.path}: {packed.zipped_bytes / 2**20:.1f} MiB, unpacked "
        f"{packed.unpacked_bytes / 2**20:.1f} of at most 250 MiB, "
        f"{len(packed.distributions)} distributions."
    )
