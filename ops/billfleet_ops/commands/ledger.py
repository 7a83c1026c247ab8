"""`billfleet ledger`: show entries or the trial balance, verify the books, and seal them.

The figures are the database room's and their looks are `ledger_views`; this module takes options
and brings the two together. It posts nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from billfleet_db import Database, accounts, ledger, seals, tenants
from billfleet_db.ledger import Entry, TrialBalanceRow
from billfleet_db.verify import Finding
from billfleet_db.verify import verify as verify_books
from billfleet_ops import ledger_views
from billfleet_ops.account_lookup import unknown_account, unknown_tenant
from billfleet_ops.commands import ledger_refund
from billfleet_ops.configuration import load_settings
from billfleet_ops.exits import Exit
from billfleet_ops.output import Output
from billfleet_ops.teaching import lesson

PAGE_ENTRIES = 1000
VERIFY_TIMEOUT_S = 3600.0

SHOW_EPILOG = lesson(
    ("billfleet ledger show --tenant telco", "the trial balance: debits and credits per side"),
    ("billfleet ledger show 7590-VHVEG --tenant telco", "an account's entries, with what it owes"),
)
VERIFY_EPILOG = lesson(
    ("billfleet ledger verify", "all tenants; 1 when something is wrong"),
    ("billfleet ledger verify --tenant telco --json", "one tenant, for a program"),
)
SEAL_EPILOG = lesson(
    ("billfleet ledger seal", "from a timer, once an hour; keep its output elsewhere"),
)

Tenant = Annotated[str, typer.Option("--tenant", help="The tenant's id.")]
OneTenant = Annotated[str | None, typer.Option("--tenant", help="This tenant; all without it.")]
AsJson = Annotated[bool, typer.Option("--json", help="For a program.")]

group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(
        group,
        name="ledger",
        help="Show, verify and seal the ledger, record refunds.",
        epilog=lesson(("billfleet ledger verify", "whether the books are right")),
    )
    ledger_refund.register(group)


@group.command(
    "show", short_help="Show an account's entries, or a tenant's trial balance.", epilog=SHOW_EPILOG
)
def show(
    tenant: Tenant,
    account: Annotated[
        str | None, typer.Argument(metavar="[ACCOUNT]", help="Its entries; without it, all sums.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show an account's entries with what it owes after each, or a tenant's trial balance."""
    output = Output()
    if account is None:
        ledger_views.show_trial_balance(
            output, asyncio.run(_trial_balance(tenant)), as_json=as_json
        )
    else:
        ledger_views.show_entries(output, asyncio.run(_entries(tenant, account)), as_json=as_json)


@group.command("verify", epilog=VERIFY_EPILOG)
def verify(tenant: OneTenant = None, as_json: AsJson = False) -> None:
    """Check the books anew: sums, keys, bills, guards and seals.

    Nothing is changed, and nothing that posting computed is trusted. It ends with 1 when
    something is found, warnings included.
    """
    findings = asyncio.run(_verify(tenant))
    ledger_views.show_findings(Output(), findings, tenant, as_json=as_json)
    if findings:
        raise typer.Exit(Exit.FAILED)


@group.command(
    "seal", short_help="Seal what was posted, so that later tampering shows.", epilog=SEAL_EPILOG
)
def seal(tenant: OneTenant = None, as_json: AsJson = False) -> None:
    """Seal what was posted since the last seal, so that later tampering shows.

    Print or log the hashes somewhere outside of this database: with them, even removing the
    newest seals is noticed.
    """
    ledger_views.show_seals(Output(), asyncio.run(_seal(tenant)), as_json=as_json)


async def _trial_balance(tenant: str) -> list[TrialBalanceRow]:
    async with _database() as database, database.transaction("REPEATABLE READ") as connection:
        known = [each.tenant_id for each in await tenants.all_tenants(connection)]
        if tenant not in known:
            raise unknown_tenant(tenant, known)
        return await ledger.trial_balance(connection, tenant)


async def _entries(tenant: str, account: str) -> list[Entry]:
    async with _database() as database, database.transaction("REPEATABLE READ") as connection:
        if await accounts.get(connection, tenant, account) is None:
            raise await unknown_account(connection, tenant, account)
        entries: list[Entry] = []
        while True:
            page = await ledger.account_entries(
                connection,
                tenant,
                account,
                after=entries[-1].transfer_id if entries else None,
                limit=PAGE_ENTRIES,
            )
            entries += page
            if len(page) < PAGE_ENTRIES:
                return entries


async def _verify(tenant: str | None) -> list[Finding]:
    async with (
        _database(statement_timeout_s=VERIFY_TIMEOUT_S) as database,
        database.transaction("REPEATABLE READ") as connection,
    ):
        known = [each.tenant_id for each in await tenants.all_tenants(connection)]
        if tenant is not None and tenant not in known:
            raise unknown_tenant(tenant, known)
        return await verify_books(connection, tenant)


async def _seal(tenant: str | None) -> list[seals.Seal]:
    made: list[seals.Seal] = []
    async with _database(statement_timeout_s=VERIFY_TIMEOUT_S) as database:
        async with database.transaction() as connection:
            known = [each.tenant_id for each in await tenants.all_tenants(connection)]
        if tenant is not None and tenant not in known:
            raise unknown_tenant(tenant, known)
        for each in known if tenant is None else [tenant]:
            made += await _seal_tenant(database, each)
    return made


async def _seal_tenant(database: Database, tenant: str) -> list[seals.Seal]:
    made: list[seals.Seal] = []
    while True:
        async with database.transaction() as connection:
            sealed = await seals.seal(connection, tenant)
        if sealed is None:
            return made
        made.append(sealed)


@asynccontextmanager
async def _database(statement_timeout_s: float = 30.0) -> AsyncIterator[Database]:
    url = load_settings().database_url.get_secret_value()
    database = Database.connect(url, pool_size=1, statement_timeout_s=statement_timeout_s)
    try:
        yield database
    finally:
        await database.close()
