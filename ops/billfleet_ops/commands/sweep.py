"""`billfleet sweep`: enqueue what is due, and expire points whose time has come.

Timers and people run them, as often as they like. The sweeps themselves are the workers', reached
through `billfleet_workers.main`; this module shows how far they are and what they found.
"""

import asyncio
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from billfleet_contracts import TENANT_PATTERN, ReportPeriod
from billfleet_db import Database, tenants
from billfleet_ops.account_lookup import unknown_tenant
from billfleet_ops.configuration import load_settings
from billfleet_ops.errors import OpsError, Refused, UsageWrong
from billfleet_ops.exits import Exit
from billfleet_ops.output import Cell, Output
from billfleet_ops.teaching import lesson
from billfleet_workers.settings import Settings

if TYPE_CHECKING:
    from billfleet_workers.main import CollectReport, SweepReport

TENANTS_SHOWN_MAX = 20
REBILL_EPILOG = lesson(
    ("billfleet sweep rebill --dry-run", "count what is due and enqueue nothing"),
    ("billfleet sweep rebill", "enqueue it; run it every hour, since days begin at every hour"),
    ("billfleet sweep rebill --as-of 2026-03-01", "as if it were that day for every account"),
    ("billfleet sweep rebill --tenant acme --json | jq .periods", "one tenant, for a program"),
)
COLLECT_EPILOG = lesson(
    ("billfleet sweep collect", "enqueue bills and checks whose moment has come"),
    ("billfleet sweep collect --dry-run --json", "only count them, for a program"),
)
EXPIRY_EPILOG = lesson(
    ("billfleet sweep loyalty-expiry", "expire what is due"),
    ("billfleet sweep loyalty-expiry --dry-run --json", "only count it, for a program"),
)
WARNINGS_EPILOG = lesson(
    ("billfleet sweep loyalty-warnings", "announce what ends soon"),
    ("billfleet sweep loyalty-warnings --dry-run --json", "only count it, for a program"),
)

ANALYTICS_EPILOG = lesson(
    ("billfleet sweep analytics", "sketches, Parquet, compaction; run it every few minutes"),
    ("billfleet sweep analytics --json", "what it did, for a program"),
)
REPORTS_EPILOG = lesson(
    ("billfleet sweep reports", "whatever is over; run it every hour"),
    ("billfleet sweep reports --monthly --dry-run", "count only"),
)
REPORT_PERIODS: tuple[ReportPeriod, ...] = ("day", "week", "month")

sweeps = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

TenantOption = Annotated[
    str | None, typer.Option("--tenant", metavar="TENANT", help="Only this tenant's accounts.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Count; enqueue nothing.")]
JsonOption = Annotated[bool, typer.Option("--json", help="For a program.")]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(
        sweeps,
        name="sweep",
        help="Enqueue what is due: accounts to rebill, bills to collect.",
        epilog=lesson(("billfleet sweep rebill --dry-run", "what would be billed now")),
    )


@sweeps.command("rebill", short_help="Enqueue every account that is due.", epilog=REBILL_EPILOG)
def rebill(
    as_of: Annotated[
        datetime | None,
        typer.Option(
            "--as-of",
            formats=["%Y-%m-%d"],
            metavar="DATE",
            help="Bill up to this day instead of each account's own today.",
        ),
    ] = None,
    tenant: TenantOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Enqueue every account whose rebilling date has come in its own time zone.

    Missed periods are caught up oldest first, so many per account and run
    (BILLFLEET_CATCH_UP_PERIODS_MAX); an account that has more stays due. It is safe to run this
    twice, at the same time, or again after a crash: no period is ever charged twice. It ends
    with 1 when something could not be enqueued; that is still due, and the next run takes it up.
    """
    # Imported here, because no other command should wait for the whole fleet to load.
    from billfleet_workers.main import HorizonExceeded, sweep_rebill

    settings, day = load_settings(), as_of.date() if as_of else None
    tenant = asyncio.run(existing(settings, tenant))
    with _progress(lambda found: f"{found.accounts:,} accounts, {found.periods:,} periods") as told:
        try:
            report = asyncio.run(
                sweep_rebill(settings, as_of=day, tenant=tenant, dry_run=dry_run, progress=told)
            )
        except HorizonExceeded as error:
            raise beyond_horizon(error) from error
    show(report, rebill_rows(report), as_json=as_json, output=Output())


@sweeps.command(
    "collect",
    short_help="Enqueue what must be collected or asked about again.",
    epilog=COLLECT_EPILOG,
)
def collect(
    tenant: TenantOption = None, dry_run: DryRunOption = False, as_json: JsonOption = False
) -> None:
    """Enqueue bills whose next attempt is due, and attempts whose outcome is not known.

    It is the net under collection: what got lost on the way, what dunning has put off until now,
    and what must be asked of the gateway. Run it every few minutes; repeats do no harm.
    """
    from billfleet_workers.main import sweep_collect

    settings = load_settings()
    tenant = asyncio.run(existing(settings, tenant))
    with _progress(lambda found: f"{found.bills:,} bills, {found.checks:,} checks") as told:
        report = asyncio.run(sweep_collect(settings, tenant=tenant, dry_run=dry_run, progress=told))
    show(report, collect_rows(report), as_json=as_json, output=Output())


async def existing(settings: Settings, tenant: str | None) -> str | None:
    """The tenant as it was given; raises UsageWrong where there is none of that name."""
    if checked(tenant) is None:
        return None
    database = Database.connect(settings.database_url.get_secret_value(), pool_size=1)
    try:
        async with database.transaction() as connection:
            known = [each.tenant_id for each in await tenants.all_tenants(connection)]
    finally:
        await database.close()
    if tenant not in known:
        raise unknown_tenant(str(tenant), known)
    return tenant


@sweeps.command("analytics", epilog=ANALYTICS_EPILOG)
def analytics(as_json: JsonOption = False) -> None:
    """Keep analytics up: sketches, events to the object store as Parquet, small files merged.

    Counts need none of this: they are right as soon as an event is stored. Run it every few
    minutes; two at once do no harm.
    """
    from billfleet_workers.main.analytics import sweep_analytics

    did = asdict(asyncio.run(sweep_analytics(load_settings())))
    if as_json:
        Output().json(did)
        return
    Output().table(("did", "count"), [(name.replace("_", " "), did[name]) for name in did])


@sweeps.command("reports", epilog=REPORTS_EPILOG)
def reports(
    daily: Annotated[bool, typer.Option("--daily", help="Of the last whole day.")] = False,
    weekly: Annotated[bool, typer.Option("--weekly", help="Of the last whole week.")] = False,
    monthly: Annotated[bool, typer.Option("--monthly", help="Of the last whole month.")] = False,
    tenant: TenantOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Ask for the reports whose days are over, on each tenant's own clock.

    Of days, weeks and months, unless one of them is chosen. A report that was made is not asked
    for again, so run it every hour. `billfleet analytics readers` says who is told of one.
    """
    from billfleet_workers.main.analytics import sweep_for_reports

    chosen = {"day": daily, "week": weekly, "month": monthly}
    periods = [one for one in REPORT_PERIODS if chosen[one] or not any(chosen.values())]
    settings = load_settings()
    tenant = asyncio.run(existing(settings, tenant))
    with _progress(lambda found: f"{found.asked:,} reports") as told:
        report = asyncio.run(
            sweep_for_reports(
                settings, periods=periods, tenant=tenant, dry_run=dry_run, progress=told
            )
        )
    if as_json:
        Output().json(asdict(report))
    else:
        word = "reports that would be asked for" if dry_run else "reports asked for"
        rows: list[tuple[Cell, ...]] = [
            ("tenants", report.tenants),
            (word, report.asked),
            ("made before", report.made_before),
        ]
        Output().table(("found", "count"), rows)
    if report.failed:
        raise OpsError(
            f"{report.failed} reports could not be asked for: {'; '.join(report.reasons)}",
            where="sweep reports",
            remedy="Repair what is named (`billfleet doctor`) and run the sweep again.",
        )


@sweeps.command("loyalty-expiry", epilog=EXPIRY_EPILOG)
def loyalty_expiry(
    tenant: TenantOption = None, dry_run: DryRunOption = False, as_json: JsonOption = False
) -> None:
    """Book the expiry of points whose time has come, and announce it.

    Expired points can't be spent with or without this: it keeps the books and tells subscribers.
    Repeats find nothing. Run it once a day.
    """
    from billfleet_workers.main.loyalty import sweep_loyalty_expiry

    settings = load_settings()
    tenant = asyncio.run(existing(settings, tenant))
    with _progress(lambda found: f"{found.lots:,} lots, {found.points:,} points") as told:
        report = asyncio.run(
            sweep_loyalty_expiry(settings, tenant=tenant, dry_run=dry_run, progress=told)
        )
    if as_json:
        Output().json(asdict(report))
        return
    word = "to expire" if report.is_dry_run else "expired"
    rows: list[tuple[Cell, ...]] = [
        ("cards", report.cards),
        (f"lots {word}", report.lots),
        (f"points {word}", report.points),
    ]
    Output().table(("found", "count"), rows)


@sweeps.command("loyalty-warnings", epilog=WARNINGS_EPILOG)
def loyalty_warnings(
    tenant: TenantOption = None, dry_run: DryRunOption = False, as_json: JsonOption = False
) -> None:
    """Announce points that end soon, so that their cards' customers are told by mail.

    A programme says how many days before (`warn_days`). A card is told once for each of them;
    customers who decided against such warnings are left out. Repeats find nothing. Run it once a
    day.
    """
    from billfleet_workers.main.loyalty import sweep_loyalty_warnings

    settings = load_settings()
    tenant = asyncio.run(existing(settings, tenant))
    with _progress(lambda found: f"{found.warnings:,} warnings") as told:
        report = asyncio.run(
            sweep_loyalty_warnings(settings, tenant=tenant, dry_run=dry_run, progress=told)
        )
    if as_json:
        Output().json(asdict(report))
        return
    word = "that would be announced" if report.is_dry_run else "announced"
    rows: list[tuple[Cell, ...]] = [
        (f"warnings {word}", report.warnings),
        ("points that end", report.points),
    ]
    Output().table(("found", "count"), rows)


def checked(tenant: str | None) -> str | None:
    """The tenant as it was given; raises UsageWrong where it can be no tenant's id."""
    if tenant is not None and not re.fullmatch(TENANT_PATTERN, tenant):
        raise UsageWrong(
            f"{tenant!r} is not a tenant id",
            where="--tenant",
            remedy="Use lower case letters, digits and hyphens, such as acme-west.",
        )
    return tenant


def beyond_horizon(error: Exception) -> Refused:
    """The guard against a wrong clock or a typing error, in an operator's words."""
    return Refused(
        str(error),
        where="--as-of",
        remedy="Check the date and the clock. BILLFLEET_HORIZON_DAYS sets how far ahead may be "
        "billed.",
    )


def rebill_rows(report: "SweepReport") -> list[tuple[Cell, ...]]:
    """What a person wants to know of a rebill sweep."""
    rows: list[tuple[Cell, ...]] = [
        ("accounts due", report.accounts),
        ("periods to bill", report.periods),
        ("accounts with more than one run bills", report.accounts_behind),
        ("accounts put off until tomorrow", report.accounts_waiting),
        ("accounts without a valid time zone", report.accounts_sick),
    ]
    ranked = sorted(report.accounts_by_tenant.items(), key=lambda one: (-one[1], one[0]))
    if len(ranked) > 1:
        rows += [(f"  of {tenant}", count) for tenant, count in ranked[:TENANTS_SHOWN_MAX]]
    return rows


def collect_rows(report: "CollectReport") -> list[tuple[Cell, ...]]:
    """What a person wants to know of a collect sweep."""
    return [("bills to collect", report.bills), ("attempts to ask about", report.checks)]


def show(
    report: "SweepReport | CollectReport",
    rows: Sequence[Sequence[Cell]],
    *,
    as_json: bool,
    output: Output,
) -> None:
    """Print the report; raises when something could not be enqueued."""
    if as_json:
        output.json({**asdict(report), "is_complete": report.is_complete})
        if not report.is_complete:
            raise typer.Exit(Exit.FAILED)
        return
    sent = "messages that would be sent" if report.is_dry_run else "messages sent"
    output.table(("found", "count"), [*rows, (sent, report.sent.messages)])
    if report.is_complete:
        return
    stopped = ", and the sweep stopped there" if report.sent.is_cut_short else ""
    raise OpsError(
        f"{report.sent.failed} messages could not be sent{stopped}: "
        f"{'; '.join(report.sent.reasons)}",
        where="SQS",
        remedy="Repair what is named (`billfleet doctor`) and run the sweep again: what was not "
        "sent is still due.",
    )


@contextmanager
def _progress(words: Callable[..., str]) -> Iterator[Callable[..., None]]:
    """A line on the terminal that says how far a sweep is; nothing where there is none."""
    console = Console(stderr=True)
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with console.status("Looking for what is due") as status:
        yield lambda found: status.update(f"Found {words(found)}")
