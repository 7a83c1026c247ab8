"""`billfleet accounts list`, and how an account pays.

The rows are `billfleet_db`'s; this module takes options and prints.
"""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from billfleet_db import collection
from billfleet_db.account_list import ListedAccount, Wanted, list_accounts
from billfleet_db.accounts import AccountState, lock_accounts
from billfleet_ops.account_lookup import unknown_account
from billfleet_ops.one_tenant import tenant_connection
from billfleet_ops.output import Output
from billfleet_ops.teaching import lesson
from billfleet_ops.why_words import money

EPILOG = lesson(
    ("billfleet accounts list --tenant acme", "all of them, the first hundred"),
    ("billfleet accounts list --due", "what the next sweep would bill"),
    ("billfleet accounts list --parked --json", "what waits for a person, for a program"),
)

METHOD_EPILOG = lesson(
    (
        "billfleet accounts set-payment-method NO-0001 pm_card_visa --tenant north-telecom",
        "what failed with the old one is tried once more",
    )
)


def register(group: typer.Typer) -> None:
    """Add the commands to `billfleet accounts`."""
    group.command(
        "set-payment-method", short_help="Change how an account pays.", epilog=METHOD_EPILOG
    )(set_payment_method)
    group.command("list", short_help="List accounts: due, past due, parked.", epilog=EPILOG)(
        list_command
    )


def list_command(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only this tenant's.")] = None,
    state: Annotated[AccountState | None, typer.Option(help="Only in this state.")] = None,
    due: Annotated[
        bool | None, typer.Option("--due/--not-due", help="Whose date has come, or has not.")
    ] = None,
    parked: Annotated[
        bool | None, typer.Option("--parked/--not-parked", help="Held, or not.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
) -> None:
    """List accounts in the order of their ids, with what they owe next and when."""
    wanted = Wanted(tenant, state, due, parked)
    found = asyncio.run(_list(wanted, limit + 1))
    shown, output = found[:limit], Output()
    if as_json:
        output.json([asdict(one) for one in shown])
        return
    output.table(
        ("tenant", "account", "state", "amount", "next period", "due", "parked"),
        [
            (
                one.tenant_id,
                one.account_id,
                one.state,
                money(one.amount_minor, one.currency),
                one.rebilling_date.isoformat(),
                "due" if one.is_due else "",
                one.parked_reason or "",
            )
            for one in shown
        ],
        title=f"{len(shown)} accounts",
    )
    if len(found) > limit:
        output.note(f"There are more than {limit}; --limit shows them.")


def set_payment_method(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")],
    method: Annotated[str, typer.Argument(metavar="METHOD", help="As the gateway names it.")],
    tenant: Annotated[str, typer.Option("--tenant", help="The tenant's id.")],
) -> None:
    """Change how an account pays. A bill that failed with the old method is tried once more.

    The oldest such bill is due from now on: the next `billfleet sweep collect` enqueues it.
    """
    retry = asyncio.run(_set_method(tenant, account, method))
    Output().say(
        f"{account} pays with {method}; its bill of {retry.period_start} is tried again by the "
        "next `billfleet sweep collect`."
        if retry
        else f"{account} pays with {method}; no bill waits for that."
    )


async def _set_method(tenant: str, account: str, method: str) -> collection.Retry | None:
    async with tenant_connection(tenant) as connection:
        if not await lock_accounts(connection, tenant, [account]):
            raise await unknown_account(connection, tenant, account)
        return await collection.change_payment_method(
            connection, tenant, account, method, now=datetime.now(UTC)
        )


async def _list(wanted: Wanted, limit: int) -> list[ListedAccount]:
    async with tenant_connection(wanted.tenant_id) as connection:
        return await list_accounts(connection, wanted, now=datetime.now(UTC), limit=limit)
