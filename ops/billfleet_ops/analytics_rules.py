"""`billfleet analytics policy` and `readers`: what a tenant decides about its own analytics.

`commands.analytics` adds them to its group. What a policy may say is the worker's; here it is
read, shown and kept.
"""

import asyncio
import json
from typing import Annotated

import typer

from billfleet_contracts import ReportPeriod
from billfleet_ops import analytics_lookup as lookup
from billfleet_ops.configuration import load_settings
from billfleet_ops.errors import UsageWrong
from billfleet_ops.output import Cell, Output

TenantName = Annotated[str, typer.Option("--tenant", help="The tenant's id.")]
PERIODS: tuple[ReportPeriod, ...] = ("day", "week", "month")


def policy(
    tenant: TenantName,
    change: Annotated[
        str | None, typer.Option("--set", metavar="JSON", help="What to say otherwise.")
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Back to the house's.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
) -> None:
    """Show which events of a tenant are counted, or change it.

    Without a change the policy is shown: what the tenant says, and the house's where it says
    nothing. It holds for events from then on; what was counted stays counted.
    """
    from billfleet_workers.main.analytics import policy_of

    settings = load_settings()
    lookup.one_tenant(settings, tenant)
    said = dict(asyncio.run(lookup.counting(settings, tenant)).policy)
    if change is not None or reset:
        said = _changed({} if reset else said, change)
        try:
            policy_of(said)
        except ValueError as error:
            raise UsageWrong(
                f"This is no policy: {error}",
                where="--set",
                remedy="`billfleet analytics policy` without --set shows what it may say.",
            ) from None
        asyncio.run(lookup.set_policy(settings, tenant, said))
    holds = policy_of(said).model_dump(mode="json")
    if as_json:
        Output().json(holds)
        return
    rows: list[tuple[Cell, ...]] = [
        (name, json.dumps(value), "the tenant's" if name in said else "the house's")
        for name, value in holds.items()
    ]
    Output().table(("rule", "value", "whose"), rows)


def readers(
    tenant: TenantName,
    period: Annotated[str, typer.Option(help="day, week or month.")] = "month",
    add: Annotated[str | None, typer.Option(metavar="CONTACT", help="Tell this one.")] = None,
    remove: Annotated[
        str | None, typer.Option(metavar="CONTACT", help="Tell this one no longer.")
    ] = None,
) -> None:
    """Say which of a tenant's contacts are told when a report is ready."""
    if period not in PERIODS:
        raise UsageWrong(
            f"--period {period!r} is unknown", where="--period", remedy="Use day, week or month."
        )
    settings = load_settings()
    lookup.one_tenant(settings, tenant)
    told = asyncio.run(lookup.readers(settings, tenant, period, add, remove))
    Output().table(("contact", "is told of every"), [(one, period) for one in told])


def _changed(said: dict[str, object], change: str | None) -> dict[str, object]:
    """The policy with the change in it; a rule set to the house's word stays said."""
    try:
        given = json.loads(change or "{}")
    except ValueError as error:
        given = error
    if not isinstance(given, dict):
        raise UsageWrong(
            f"--set is not a JSON object: {given}",
            where="--set",
            remedy="""Write it like --set '{"age_max_days": null}'.""",
        )
    return {**said, **given}
