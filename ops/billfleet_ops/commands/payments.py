"""`billfleet payments`: what was tried, what nobody knows, and a person's word about it.

Reading is `billfleet_db.attempts`, speaking is `payment_resolution`; this module takes options
and prints. It calls no gateway and changes no attempt.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from pydantic import ValidationError

from billfleet_db import Database, accounts, attempts, collection
from billfleet_db.attempts import Attempt
from billfleet_db.bills import Bill
from billfleet_ops.account_lookup import unknown_account
from billfleet_ops.configuration import load_settings
from billfleet_ops.errors import Refused, UsageWrong
from billfleet_ops.exits import Exit
from billfleet_ops.one_tenant import tenant_connection
from billfleet_ops.output import Cell, Output
from billfleet_ops.payment_resolution import Word, find_open, report
from billfleet_ops.runbooks import Runbook
from billfleet_ops.teaching import lesson
from billfleet_workers.money import format_minor

SHOW_EPILOG = lesson(
    ("billfleet payments show A-1 --tenant acme", "every attempt, oldest period first"),
)
UNRESOLVED_EPILOG = lesson(
    ("billfleet payments unresolved", "attempts that wait for a person; exit 1 when there are any"),
    ("billfleet payments unresolved --all", "also those that are still being asked about"),
    ("billfleet payments unresolved --json | jq -r '.[].attempt_key'", "for a program"),
)
RESOLVE_EPILOG = lesson(
    ("billfleet payments unresolved", "first: find the key, then look it up at the gateway"),
    (
        "billfleet payments resolve acme:A-1:2026-03-01:1 --succeeded pi_123 --yes",
        "the money was taken",
    ),
    (
        "billfleet payments resolve acme:A-1:2026-03-01:1 --declined card_declined --yes",
        "it was not, and dunning goes on",
    ),
)
RETRY_EPILOG = lesson(
    ("billfleet payments retry --tenant acme --dry-run", "what is held, and why"),
    ("billfleet payments retry A-1 --tenant acme", "this account's bills, by the next sweep"),
)

GROUP_EPILOG = lesson(
    ("billfleet payments show A-1 --tenant acme", "what was tried for this account"),
    ("billfleet payments unresolved", "what waits for a person"),
)

AsJson = Annotated[bool, typer.Option("--json", help="For a program.")]

group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(
        group,
        name="payments",
        help="Attempts to collect: show them, resolve open ones.",
        epilog=GROUP_EPILOG,
    )


@group.command(
    "show", short_help="Show every attempt to collect from an account.", epilog=SHOW_EPILOG
)
def show(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")],
    tenant: Annotated[str, typer.Option("--tenant", help="The tenant's id.")],
    as_json: AsJson = False,
) -> None:
    """Show every attempt to collect from an account, and what became of it."""
    _print(asyncio.run(_of_account(tenant, account)), as_json=as_json)


@group.command(
    "unresolved", short_help="List attempts whose outcome nobody knows.", epilog=UNRESOLVED_EPILOG
)
def unresolved(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only this tenant.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that the fleet still asks about.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List attempts whose outcome the gateway never told, oldest first.

    Nothing is charged to such an account until its attempt is resolved. Look each one up at the
    gateway by its key, then say what you found with `billfleet payments resolve`.
    """
    found = asyncio.run(_unresolved(tenant, everything=everything))
    _print(found, as_json=as_json)
    if any(attempt.next_check_at is None for attempt in found):
        Output().note(f"How to look them up and say what you found: {Runbook.ATTEMPTS_FOR_A_HUMAN}")
        raise typer.Exit(Exit.FAILED)


@group.command("resolve", epilog=RESOLVE_EPILOG)
def resolve(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The attempt's key.")],
    succeeded: Annotated[
        str | None, typer.Option(metavar="REF", help="It was paid: the gateway's reference.")
    ] = None,
    declined: Annotated[
        str | None, typer.Option(metavar="CODE", help="It was not: the code of the decline.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Really do it.")] = False,
) -> None:
    """Say what became of an open attempt.

    The collect worker takes your word only while the attempt is still open. A success is posted
    to the ledger; a decline goes on as dunning has it, with a new attempt.
    """
    if (succeeded is None) == (declined is None):
        raise UsageWrong(
            "Say what became of it, once",
            where="--succeeded, --declined",
            remedy="Give --succeeded with the gateway's reference, or --declined with a code.",
        )
    output = Output()
    attempt = asyncio.run(_resolve(key, Word(succeeded, declined), is_meant=yes))
    amount = format_minor(attempt.amount_minor, attempt.currency)
    said = "paid" if succeeded else "declined"
    output.say(f"{amount} of {attempt.account_id} for {attempt.period_start}: {said}.")
    output.say("On its way to the collect worker, which records it.")


@group.command("retry", short_help="Let held bills be tried again.", epilog=RETRY_EPILOG)
def retry(
    tenant: Annotated[str, typer.Option("--tenant", help="The tenant's id.")],
    account: Annotated[
        str | None, typer.Argument(metavar="[ACCOUNT]", help="Only this account's bills.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let bills be tried again that the gateway would not charge, once that has been put right.

    These are open bills that nothing is tried at by itself: below or above what the gateway
    charges, or refused as invalid. Declined ones are not among them: they wait for another payment
    method (`billfleet accounts set-payment-method`).
    """
    held = asyncio.run(_retry(tenant, account, dry_run=dry_run))
    output = Output()
    if as_json:
        output.json([asdict(bill) for bill in held])
        return
    if held:
        output.table(
            ("account", "period", "amount", "held for"),
            [
                (
                    bill.account_id,
                    str(bill.period_start),
                    format_minor(bill.amount_minor, bill.currency),
                    bill.collection_note,
                )
                for bill in held
            ],
        )
    are_due = "are tried by the next `billfleet sweep collect`"
    output.say(f"{len(held)} bills {'are held' if dry_run or not held else are_due}.")


async def _retry(tenant: str, account: str | None, *, dry_run: bool) -> list[Bill]:
    async with tenant_connection(tenant) as connection:
        if account is not None and await accounts.get(connection, tenant, account) is None:
            raise await unknown_account(connection, tenant, account)
        held = await collection.held_bills(connection, tenant, account)
        if not dry_run:
            await collection.let_go(connection, tenant, account, now=datetime.now(UTC))
        return held


async def _of_account(tenant: str, account: str) -> list[Attempt]:
    async with _database() as database, database.transaction() as connection:
        if await accounts.get(connection, tenant, account) is None:
            raise await unknown_account(connection, tenant, account)
        return await attempts.of_account(connection, tenant, account)


async def _unresolved(tenant: str | None, *, everything: bool) -> list[Attempt]:
    async with _database() as database, database.transaction() as connection:
        return await attempts.unresolved(
            connection, tenant_id=tenant, also_still_checked=everything
        )


async def _resolve(key: str, word: Word, *, is_meant: bool) -> Attempt:
    now = datetime.now(UTC)
    async with _database() as database, database.transaction() as connection:
        attempt = await find_open(connection, key, now)
        if not is_meant:
            raise Refused(
                "Nothing was done: a person's word moves money in the ledger",
                where=key,
                remedy="Make sure at the gateway, then run it again with --yes.",
            )
        try:
            await report(connection, attempt, word, event_id=str(uuid.uuid4()), now=now)
        except ValidationError as error:
            raise UsageWrong(
                f"Not a reference or a code: {error.errors()[0]['msg']}",
                where="--succeeded, --declined",
                remedy="Copy it from the gateway, without spaces.",
            ) from error
        return attempt


def _print(found: Sequence[Attempt], *, as_json: bool) -> None:
    output = Output()
    if as_json:
        output.json([asdict(attempt) for attempt in found])
    elif not found:
        output.say("There are none.")
    else:
        output.table(
            ("key", "amount", "state", "gateway", "reference", "said", "checks", "next check"),
            [_row(attempt) for attempt in found],
        )


def _row(attempt: Attempt) -> tuple[Cell, ...]:
    return (
        attempt.attempt_key,
        format_minor(attempt.amount_minor, attempt.currency),
        attempt.state,
        attempt.gateway,
        attempt.gateway_reference,
        attempt.decline_code or attempt.error,
        attempt.checks_made,
        f"{attempt.next_check_at:%Y-%m-%d %H:%M}" if attempt.next_check_at else None,
    )


@asynccontextmanager
async def _database() -> AsyncIterator[Database]:
    database = Database.connect(load_settings().database_url.get_secret_value(), pool_size=1)
    try:
        yield database
    finally:
        await database.close()
