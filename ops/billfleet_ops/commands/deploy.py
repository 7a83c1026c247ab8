"""`billfleet deploy`: what a deployment would change and cost, and the stack on a stand-in.

`plan` and `stand-in` read the templates of this version. On AWS itself the delivery pipeline
deploys; this module never changes anything there.
"""

from typing import Annotated

import typer

from billfleet_ops.configuration import clients_of, load_settings
from billfleet_ops.errors import Refused
from billfleet_ops.local.deploy import deploy as deploy_stack
from billfleet_ops.output import Output
from billfleet_ops.teaching import lesson

deployments = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

STAND_IN_EPILOG = lesson(
    (
        "AWS_ENDPOINT_URL=http://127.0.0.1:4566 billfleet deploy stand-in",
        "create queues, topics, tables and buckets there",
    ),
)


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(
        deployments,
        name="deploy",
        help="What a deployment would change and cost.",
        epilog=lesson(("billfleet deploy plan", "what would change, and the bill of a month")),
    )


@deployments.callback()
def _deploy() -> None:
    """What a deployment would change and cost."""


@deployments.command("stand-in", epilog=STAND_IN_EPILOG)
def stand_in(
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
) -> None:
    """Create or update queues, topics, tables and buckets on an endpoint that stands in for AWS.

    It is for compose and tests: without AWS_ENDPOINT_URL it refuses, because AWS itself is the
    delivery pipeline's. Doing it again changes nothing.
    """
    settings = load_settings()
    if settings.aws_endpoint_url is None:
        raise Refused(
            "This would deploy to AWS itself, which the delivery pipeline does",
            where=f"stack {settings.stack}",
            remedy="Set AWS_ENDPOINT_URL, or deploy by the workflow in .github/workflows.",
        )
    done = deploy_stack(clients_of(settings), settings.stack)
    output = Output()
    if as_json:
        output.json({"created": done.created, "updated": done.updated, "unchanged": done.unchanged})
        return
    rows = [("created", name) for name in done.created]
    rows += [("updated", name) for name in done.updated]
    rows += [("unchanged", name) for name in done.unchanged]
    output.table(("did", "stack"), rows)
