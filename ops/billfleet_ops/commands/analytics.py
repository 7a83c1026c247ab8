"""`billfleet analytics`: track an event, show figures, make a report, recount, look at quarantine.

The figures are the workers', reached through `billfleet_workers.main.analytics`; their looks are
`analytics_views`. This module takes options and brings the two together.
"""

import asyncio
import json
import uuid
import webbrowser
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from billfleet_contracts import EventTracked, ReportRequested
from billfleet_db.tenants import Tenant
from billfleet_ops import analytics_files, analytics_rules, analytics_views
from billfleet_ops import analytics_lookup as lookup
from billfleet_ops.configuration import home_directory, load_settings
from billfleet_ops.errors import UsageWrong
from billfleet_ops.exits import Exit
from billfleet_ops.output import Cell, Output
from billfleet_ops.report_period import chosen
from billfleet_ops.teaching import lesson
from billfleet_workers.settings import Settings

DAYS_SHOWN = 14

TenantName = Annotated[str, typer.Option("--tenant", help="The tenant's id.")]
OneTenant = Annotated[str | None, typer.Option("--tenant", help="This tenant; all without it.")]
AsJson = Annotated[bool, typer.Option("--json", help="For a program.")]
AsOf = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
        help="The figures as they were known then (UTC); now without it.",
    ),
]

group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    example = lesson(("billfleet analytics show purchase --tenant acme", "a fortnight, by day"))
    app.add_typer(
        group,
        name="analytics",
        help="Count events, show figures, make reports, recount from raw files.",
        epilog=example,
    )


@group.command(
    "track",
    epilog=lesson(
        (
            "billfleet analytics track sale --tenant acme --amount 990 --currency EUR",
            "one sale",
        ),
        (
            "billfleet analytics track opened --tenant acme --properties '{\"version\": 2}'",
            "with properties",
        ),
    ),
)
def track(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What happened.")],
    tenant: TenantName,
    customer: Annotated[str | None, typer.Option(help="Who.")] = None,
    store: Annotated[str | None, typer.Option(help="Where.")] = None,
    brand: Annotated[str | None, typer.Option(help="Under which brand.")] = None,
    amount: Annotated[int | None, typer.Option(min=0, help="Minor units.")] = None,
    currency: Annotated[str | None, typer.Option(help="Of the amount.")] = None,
    event_id: Annotated[
        str | None, typer.Option("--id", help="The same id twice is one event.")
    ] = None,
    at: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%dT%H:%M:%S"], help="UTC; now without it.")
    ] = None,
    properties: Annotated[str, typer.Option(help="A JSON object.")] = "{}",
) -> None:
    """Send one event to the analytics queue, as a front end would."""
    from billfleet_workers.main.analytics import track as send

    given: dict[str, Any] = {
        "name": name,
        "event_id": event_id or str(uuid.uuid4()),
        "source": "command-line",
        "occurred_at": (at or datetime.now(UTC)).replace(tzinfo=UTC),
        "customer_id": customer,
        "store_id": store,
        "brand_id": brand,
        "amount_minor": amount,
        "currency": currency,
    }
    try:
        event = EventTracked(**given, properties=json.loads(properties))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the event"
        raise UsageWrong(
            f"{where}: {first['msg']}", where="analytics track", remedy="Correct it."
        ) from None
    except ValueError as error:
        raise UsageWrong(
            f"--properties is not JSON: {error}",
            where="--properties",
            remedy="Give an object, such as '{\"basket\": 3}'.",
        ) from None
    settings = load_settings()
    lookup.one_tenant(settings, tenant)
    receipt = asyncio.run(send(settings, tenant, event))
    Output().say(f"Sent {event.name} {event.event_id} in message {receipt.event_id}.")


@group.command(
    "show",
    epilog=lesson(
        ("billfleet analytics show purchase --tenant acme", "a fortnight, by day"),
        ("billfleet analytics show --tenant acme --json", "every name, for a program"),
        (
            "billfleet analytics show purchase --by hour --days 1 --tenant acme",
            "the hours of today, in the tenant's zone",
        ),
    ),
)
def show(
    tenant: TenantName,
    name: Annotated[
        str | None, typer.Argument(metavar="[METRIC]", help="An event's name; all without it.")
    ] = None,
    by: Annotated[str, typer.Option("--by", help="day or hour.")] = "day",
    days: Annotated[int, typer.Option(min=1, max=3660, help="How many, up to today.")] = DAYS_SHOWN,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Show how often something happened, for how much, and to how many customers."""
    from billfleet_workers.dates import local_today
    from billfleet_workers.main.analytics import show as ask

    if by not in ("day", "hour"):
        raise UsageWrong(f"--by {by!r} is unknown", where="--by", remedy="Use day or hour.")
    settings, output = load_settings(), Output()
    lookup.one_tenant(settings, tenant)
    now = datetime.now(UTC)
    at = _instant(as_of, now)
    zone = asyncio.run(lookup.counting(settings, tenant, at)).time_zone
    last = local_today(at or now, zone)
    first = last - timedelta(days=days - 1)
    shown = asyncio.run(
        ask(
            settings,
            tenant,
            name=name,
            grain="day" if by == "day" else "hour",
            first_day=first,
            last_day=last,
            as_of=at,
        )
    )
    if name is not None and name not in shown.names:
        known = ", ".join(shown.names[:12]) or "none yet"
        raise UsageWrong(
            f"Nothing of the name {name!r} was ever counted",
            where=f"tenant {tenant}",
            remedy=f"Counted were: {known}.",
        )
    if as_json:
        output.json(analytics_views.document(shown))
        return
    if name is not None:
        rows = analytics_views.series(shown, zone)
        output.table((by, "times", "sum", ""), rows, title=f"{name}, {first} to {last} ({zone})")
    if by == "day":
        output.say(analytics_views.line(shown, first, last))
    columns = ("name", "times", "customers", "sum", "typical", "top 5 % from")
    output.table(columns, analytics_views.totals(shown))


@group.command(
    "report",
    epilog=lesson(
        ("billfleet analytics report --month", "the last month that is over, of every tenant"),
        ("billfleet analytics report --month --tenant acme --open", "and look at the page"),
        (
            "billfleet analytics report --week 2026-10-05 --tenant acme --to reports",
            "the week of that day, and copies of the files in a folder",
        ),
    ),
)
def report(
    when: Annotated[
        str | None,
        typer.Argument(help="YYYY-MM or YYYY-MM-DD; the last one that is over without it."),
    ] = None,
    month: Annotated[bool, typer.Option("--month", help="A month; so without any.")] = False,
    week: Annotated[bool, typer.Option("--week", help="The week of a day.")] = False,
    day: Annotated[bool, typer.Option("--day", help="A day.")] = False,
    tenant: OneTenant = None,
    as_of: AsOf = None,
    again: Annotated[int, typer.Option(min=0, help="Make it once more, under a number.")] = 0,
    to: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Copies of the files.")] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Show the pages in a browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make the business report of a month, a week or a day: HTML, CSV and JSON.

    The files go to the object store, and whoever reads the tenant's reports is told. What was
    made before is not made again: give --again 1 for a second one with what is known by now.
    """
    now = datetime.now(UTC)
    instant = _instant(as_of, now)
    period, within = chosen({"month": month, "week": week, "day": day}, when, instant or now)
    settings, output = load_settings(), Output()
    asked = ReportRequested(period=period, first_day=within, as_of=instant, request_no=again)
    if open_it and to is None:
        to = home_directory().absolute() / "reports"
    made = asyncio.run(_make(settings, lookup.some_tenants(settings, tenant), asked, to))
    if open_it:
        for page in (file for one in made for file in one["files"] if _is_page(file)):
            webbrowser.open(Path(page).absolute().as_uri())
    if as_json:
        output.json(made)
        return
    columns = ("tenant", "report", "as of", "files", "")
    rows: list[tuple[Cell, ...]] = [
        (
            one["tenant"],
            one["title"],
            one["as_of"].strftime("%Y-%m-%d %H:%M UTC"),
            "\n".join(one["files"]),
            "new" if one["is_new"] else "made before",
        )
        for one in made
    ]
    output.table(columns, rows)


async def _make(
    settings: Settings, found: list[Tenant], asked: ReportRequested, to: Path | None
) -> list[dict[str, Any]]:
    from billfleet_workers.main.analytics import make_report

    told = []
    for tenant in found:
        made = await make_report(settings, tenant.tenant_id, asked)
        places = [file.object_key for file in made.files]
        if to is not None:
            places += _copy(made.bodies, to, f"{tenant.tenant_id}-{made.report.report_id}")
        told.append(
            {
                "tenant": tenant.tenant_id,
                "report_id": made.report.report_id,
                "title": made.report.title,
                "as_of": made.report.as_of,
                "is_new": made.is_new,
                "files": places,
            }
        )
    return told


def _is_page(file: str) -> bool:
    """Whether it is a page in a folder; others lie in the object store under the same ending."""
    return file.endswith(".html") and Path(file).is_file()


def _copy(bodies: dict[str, bytes], folder: Path, stem: str) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    for form, body in bodies.items():
        (folder / f"{stem}.{form}").write_bytes(body)
    return [str(folder / f"{stem}.{form}") for form in bodies]


@group.command(
    "rebuild",
    epilog=lesson(
        ("billfleet analytics rebuild --verify", "recount from raw files and compare"),
        ("billfleet analytics rebuild --tenant acme", "let the recount be the count"),
    ),
)
def rebuild(
    tenant: OneTenant = None,
    verify: Annotated[bool, typer.Option("--verify", help="Compare; change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Count again from the raw files in the object store.

    With --verify it says whether that equals the count, byte for byte, and ends with 1 where it
    does not. Without, the recount takes the count's place; intake waits meanwhile.
    """
    from billfleet_workers.main.analytics import compare_tenant, rebuild_tenant

    settings, output = load_settings(), Output()
    found = [one.tenant_id for one in lookup.some_tenants(settings, tenant)]
    if not verify:
        for name in found:
            buckets = asyncio.run(rebuild_tenant(settings, name))
            output.say(f"{name}: {buckets:,} buckets counted anew.")
        return
    compared = [
        analytics_views.comparison(asyncio.run(compare_tenant(settings, name))) for name in found
    ]
    if as_json:
        output.json(compared)
    else:
        rows: list[tuple[Cell, ...]] = [
            (
                one["tenant"],
                one["buckets"],
                one["events"],
                "equal" if one["is_equal"] else "DIFFERENT",
            )
            for one in compared
        ]
        output.table(("tenant", "buckets", "events", "recount"), rows)
        for one in compared:
            for side in ("only_counted", "only_raw"):
                for each in one[side]:
                    output.say(f"{side.replace('_', ' ')}: {each}")
    if not all(one["is_equal"] for one in compared):
        raise typer.Exit(Exit.FAILED)


@group.command(
    "quarantine",
    epilog=lesson(("billfleet analytics quarantine --tenant acme", "what was not counted")),
)
def quarantine(tenant: OneTenant = None, as_json: AsJson = False) -> None:
    """Show events that were not counted, and why; the newest first.

    `other_payload`: the id was another event before; both versions are kept.
    """
    settings, output = load_settings(), Output()
    kept = asyncio.run(lookup.quarantined(settings, tenant))
    if as_json:
        output.json(kept)
        return
    rows: list[tuple[Cell, ...]] = [
        (one["tenant_id"], one["source"], one["event_id"], one["reason"], str(one["refused_at"]))
        for one in kept
    ]
    output.table(("tenant", "source", "event", "reason", "refused at"), rows)


group.command(
    "files",
    epilog=lesson(
        ("billfleet analytics files --tenant acme", "where the raw events of a tenant lie"),
        (
            'duckdb -c "SELECT count(*) FROM $(billfleet analytics files --duckdb)"',
            "count them all with DuckDB and its httpfs",
        ),
    ),
)(analytics_files.files)
group.command(
    "readers",
    epilog=lesson(
        ("billfleet analytics readers --tenant acme --add owner --period month", "tell a contact"),
        ("billfleet analytics readers --tenant acme --period month", "who is told"),
    ),
)(analytics_rules.readers)
group.command(
    "policy",
    epilog=lesson(
        ("billfleet analytics policy --tenant acme", "what holds, and whose word it is"),
        (
            """billfleet analytics policy --tenant acme --set '{"age_max_days": null}'""",
            "count events however old they are",
        ),
    ),
)(analytics_rules.policy)


def _instant(said: datetime | None, now: datetime) -> datetime | None:
    """What was typed, in UTC; raises UsageWrong where it lies in the future."""
    if said is None:
        return None
    at = said.replace(tzinfo=UTC)
    if at > now:
        raise UsageWrong(
            f"{at.isoformat()} is in the future", where="--as-of", remedy="Give an earlier instant."
        )
    return at
