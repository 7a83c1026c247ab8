"""`billfleet accounts`: import them from a file, show one, explain it, and let it be billed again.

The import itself is `csv_import`, the explanation `why`, the reading `billfleet_db.history`; this
module takes options and prints. It decides nothing about billing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from billfleet_db import Database, accounts, history
from billfleet_db.history import History
from billfleet_ops import account_listing, account_views
from billfleet_ops.account_columns import COLUMNS
from billfleet_ops.account_lookup import unknown_account
from billfleet_ops.column_sources import pairs
from billfleet_ops.configuration import load_settings
from billfleet_ops.csv_import import ImportReport, ImportRequest, import_accounts
from billfleet_ops.exits import Exit
from billfleet_ops.output import Output
from billfleet_ops.teaching import lesson

IMPORT_TIMEOUT_S = 600.0


def _columns_taught() -> str:
    """Our columns, one paragraph each: the help formatter would join plain lines."""
    return "\n\n".join(
        f"  {column.name}: {column.meaning} "
        + (f"[default: {column.default}]" if column.default else "[required]")
        for column in COLUMNS
    )


IMPORT_EPILOG = "Columns:\n\n" + "\n\n".join(
    (
        _columns_taught(),
        lesson(
            ("billfleet accounts import accounts.csv --tenant acme", "a file with our columns"),
            (
                (
                    "billfleet accounts import telco.csv --tenant telco "
                    "--map account_id=customer_id --map amount=monthly_charges_usd "
                    "--map commitment_months=contract "
                    "--set currency=USD --set rebilling_date=2026-01-31"
                ),
                "their columns, and constants for what they lack",
            ),
            (
                "billfleet accounts import accounts.csv --tenant acme --dry-run --json",
                "all bad rows, for a program; nothing is kept",
            ),
        ),
    )
)
WHY_EPILOG = lesson(
    ("billfleet accounts why 7590-VHVEG --tenant telco", "every period, billed or not"),
    ("billfleet accounts why 7590-VHVEG --tenant telco --as-of 2026-04-01", "as of that day"),
)
SHOW_EPILOG = lesson(
    ("billfleet accounts show 7590-VHVEG --tenant telco", "the account, its bills and debt"),
)
UNPARK_EPILOG = lesson(
    ("billfleet accounts why A-1 --tenant acme", "first: why it was parked"),
    ("billfleet accounts unpark A-1 --tenant acme", "then let it be billed again"),
)
PARK_EPILOG = lesson(
    (
        'billfleet accounts park A-1 --tenant acme --reason "disputed"',
        "bill nothing until unparked",
    ),
)

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")]
Tenant = Annotated[str, typer.Option("--tenant", help="The tenant's id.")]
AsJson = Annotated[bool, typer.Option("--json", help="For a program.")]

group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(
        group,
        name="accounts",
        help="Import accounts, list, show and explain them, park and unpark them.",
        epilog=lesson(("billfleet accounts why A-1 --tenant acme", "why it was billed or not")),
    )
    account_listing.register(group)


@group.command("import", epilog=IMPORT_EPILOG)
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="A CSV file.")],
    tenant: Tenant,
    mapped: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="OURS=THEIRS", help="Our column is called so in the file."),
    ] = None,
    constant: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OURS=VALUE", help="Our column has this value in all rows."),
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Of the file; UTF-8 when not given.")] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Take over changes to accounts that exist.")
    ] = False,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Import the good rows; write the others out.")
    ] = False,
    rejected_to: Annotated[
        Path | None, typer.Option(help="Where to; FILE.rejected.csv when not given.")
    ] = None,
    create_tenant: Annotated[
        bool, typer.Option("--create-tenant", help="The tenant may be new to this database.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, keep nothing.")] = (
        False
    ),
    as_json: AsJson = False,
) -> None:
    """Import accounts from a CSV file, in one transaction.

    A bad row is reported by line, column and reason, and then nothing at all is imported, unless
    --skip-bad-rows. Importing the same file again changes nothing. Dates and states that the
    fleet has moved since are kept. The first tenant of a database is created by itself.
    """
    output = Output()
    request = ImportRequest(
        path=file,
        tenant=tenant,
        mapping=pairs(mapped or [], option="--map"),
        constants=pairs(constant or [], option="--set"),
        encoding=encoding,
        is_dry_run=dry_run,
        skips_bad_rows=skip_bad_rows,
        updates=update,
        creates_tenant=create_tenant,
        rejected_path=rejected_to,
    )
    report = asyncio.run(_import(request))
    if as_json:
        output.json(account_views.import_as_json(report, is_dry_run=dry_run))
    else:
        account_views.show_import(output, report, is_dry_run=dry_run)
    if report.is_refused:
        raise typer.Exit(Exit.FAILED)


@group.command("show", epilog=SHOW_EPILOG)
def show(account: Account, tenant: Tenant, as_json: AsJson = False) -> None:
    """Show an account: price, dates, state, debt and bills."""
    output = Output()
    found = asyncio.run(_history(tenant, account))
    if as_json:
        output.json(account_views.history_as_json(found))
    else:
        account_views.show_history(output, found)


@group.command(
    "why", short_help="Explain every billed and every unbilled period.", epilog=WHY_EPILOG
)
def why(
    account: Account,
    tenant: Tenant,
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="A day of the account's calendar, not today."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Explain every billed and every unbilled period of an account, in sentences.

    What was due when, which message billed it, each attempt to collect it and its answer, the
    ledger rows and the events; and of what was not billed, the reason.
    """
    # Imported here, because the dates come with the rebill worker, which takes a while to load.
    from billfleet_ops.why import explain

    output = Output()
    settings = load_settings()
    explanation = explain(
        asyncio.run(_history(tenant, account)),
        now=datetime.now(UTC),
        as_of=as_of.date() if as_of else None,
        catch_up_periods_max=settings.catch_up_periods_max,
    )
    if as_json:
        output.json(account_views.explanation_as_json(explanation))
    else:
        account_views.show_explanation(output, explanation)


@group.command("park", epilog=PARK_EPILOG)
def park(
    account: Account,
    tenant: Tenant,
    reason: Annotated[str, typer.Option(help="Why, for whoever asks later.")],
) -> None:
    """Bill nothing of an account until it is unparked."""
    output = Output()
    if asyncio.run(_park(tenant, account, reason)):
        output.say(f"{account} is parked: {reason}. Nothing is billed until it is unparked.")
    else:
        output.say(f"{account} was parked already; its older reason stays.")


@group.command("unpark", short_help="Let a parked account be billed again.", epilog=UNPARK_EPILOG)
def unpark(account: Account, tenant: Tenant) -> None:
    """Let a parked account be billed again; the next sweep enqueues what is due."""
    output = Output()
    if asyncio.run(_unpark(tenant, account)):
        output.say(f"{account} is unparked. The next `billfleet sweep rebill` enqueues it.")
    else:
        output.say(f"{account} is not parked; nothing was changed.")


async def _import(request: ImportRequest) -> ImportReport:
    terminal = Console(stderr=True)
    async with _database(statement_timeout_s=IMPORT_TIMEOUT_S) as database:
        with Progress(
            TextColumn("{task.fields[rows]} rows"),
            BarColumn(),
            TextColumn("{task.percentage:.0f} %"),
            TimeElapsedColumn(),
            console=terminal,
            transient=True,
            disable=not terminal.is_terminal,
        ) as progress:
            task = progress.add_task("import", total=1.0, rows=0)

            def advance(rows: int, share: float) -> None:
                progress.update(task, completed=share, rows=rows)

            return await import_accounts(database, request, advance)


async def _history(tenant: str, account: str) -> History:
    async with _database() as database, database.transaction("REPEATABLE READ") as connection:
        found = await history.of_account(connection, tenant, account)
        if found is None:
            raise await unknown_account(connection, tenant, account)
        return found


async def _park(tenant: str, account: str, reason: str) -> bool:
    async with _database() as database, database.transaction() as connection:
        locked = await accounts.lock_accounts(connection, tenant, [account])
        if account not in locked:
            raise await unknown_account(connection, tenant, account)
        await accounts.park(connection, tenant, {account: reason}, now=datetime.now(UTC))
        return locked[account].parked_at is None


async def _unpark(tenant: str, account: str) -> bool:
    async with _database() as database, database.transaction() as connection:
        if await accounts.unpark(connection, tenant, account, now=datetime.now(UTC)):
            return True
        if await accounts.get(connection, tenant, account) is None:
            raise await unknown_account(connection, tenant, account)
        return False


@asynccontextmanager
async def _database(statement_timeout_s: float = 30.0) -> AsyncIterator[Database]:
    url = load_settings().database_url.get_secret_value()
    database = Database.connect(url, pool_size=1, statement_timeout_s=statement_timeout_s)
    try:
        yield database
    finally:
        await database.close()
