"""`billfleet deploy`: what a deployment would change and cost, and the stack on a stand-in.

`plan` and `stand-in` read the templates of this version. On AWS itself the delivery pipeline
deploys; this module never changes anything there.
"""

from dataclasses import asdict
from typing import Annotated, cast

import typer

from billfleet_ops.configuration import clients_of, load_settings
from billfleet_ops.errors import Refused, UsageWrong
from billfleet_ops.local.deploy import deploy as deploy_stack
from billfleet_ops.monthly_costs import VOLUMES, Environment, Volumes, monthly_costs
from billfleet_ops.output import Output
from billfleet_ops.prices import prices
from billfleet_ops.teaching import lesson
from billfleet_ops.template_changes import TemplateChange, changes

PLAN_EPILOG = lesson(
    ("billfleet deploy plan --offline", "only the bill of a month, at the volumes of dev"),
    (
        "billfleet deploy plan --environment prod --messages-per-month 30000000",
        "what would change in the stack, and what a month costs",
    ),
    ("billfleet deploy plan --json | jq .usd_per_month", "for a program"),
)

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


@deployments.command("plan", epilog=PLAN_EPILOG)
def plan(
    environment: Annotated[
        str, typer.Option("--environment", metavar="dev|prod", help="Which sizes.")
    ] = "dev",
    messages: Annotated[
        int | None,
        typer.Option("--messages-per-month", min=0, help="Default: those of the guide."),
    ] = None,
    mails: Annotated[int | None, typer.Option("--mails-per-month", min=0)] = None,
    files_gib: Annotated[float | None, typer.Option("--files-gib", min=0)] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask AWS nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
) -> None:
    """Say what a deployment of this version would change, and what a month of it costs.

    Nothing is changed. The comparison is with the templates as they are deployed; the bill is
    computed from the templates' sizes, the volumes given, and list prices with a date.
    """
    if environment not in VOLUMES:
        raise UsageWrong(
            f"There is no environment {environment}",
            where="--environment",
            remedy="Give dev or prod.",
        )
    size = cast("Environment", environment)
    usual = VOLUMES[size]
    volumes = Volumes(
        messages=usual.messages if messages is None else messages,
        mails=usual.mails if mails is None else mails,
        files_gib=usual.files_gib if files_gib is None else files_gib,
    )
    settings, listed, output = load_settings(), prices(), Output()
    found = [] if offline else changes(clients_of(settings), settings.stack)
    costs = monthly_costs(size, volumes, listed)
    together = sum(cost.usd for cost in costs)
    if as_json:
        output.json(
            {
                "changes": [asdict(change) for change in found],
                "volumes": asdict(volumes),
                "costs": [asdict(cost) for cost in costs],
                "usd_per_month": round(together, 2),
                "prices_as_of": listed.as_of,
            }
        )
        return
    for change in found:
        _say_change(output, settings.stack, change)
    rows = [(cost.service, cost.configuration, f"{cost.usd:,.2f}") for cost in costs]
    output.table(
        ("service", "configuration", "USD a month"), [*rows, ("together", "", f"{together:,.2f}")]
    )
    output.say(
        f"{environment}: {volumes.messages:,} messages, {volumes.mails:,} mails, "
        f"{volumes.files_gib:g} GiB of files. List prices of {listed.region}, {listed.as_of}; "
        "without tax, support, traffic to the internet, CloudTrail and GuardDuty."
    )


def _say_change(output: Output, stack: str, change: TemplateChange) -> None:
    name = f"{stack}-{change.name}"
    if change.is_unchanged:
        output.say(f"{name}: unchanged")
        return
    if not change.is_deployed:
        output.say(f"{name}: is not deployed; {len(change.added)} resources would be created")
        return
    output.say(f"{name}:")
    for word, names in (
        ("create", change.added),
        ("change", change.changed),
        ("remove", change.removed),
    ):
        for each in names:
            output.say(f"  {word} {each}")
    for lost in change.loses:
        output.say(f"  Mind: {lost} holds work or data; it would stay, and nobody would read it.")
