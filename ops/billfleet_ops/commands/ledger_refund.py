"""`billfleet ledger refund`: write down what was given back to a customer at the gateway.

The rules (no more than was captured, each key once) are the ledger's own; this module takes options
and says what came of it. It moves no money: whoever calls it has done that.
"""

import asyncio
from datetime import UTC, date, datetime
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db import accounts, bills, ledger
from billfleet_db.bills import Bill
from billfleet_db.errors import LedgerRefused
from billfleet_db.ledger import PostedTransfer
from billfleet_ops.account_lookup import unknown_account
from billfleet_ops.errors import Refused, UsageWrong
from billfleet_ops.one_tenant import tenant_connection
from billfleet_ops.output import Output
from billfleet_ops.teaching import lesson
from billfleet_workers.money import MoneyError, format_minor, parse_minor

WORK_ID = "billfleet ledger refund"
WHAT = "A-1 --tenant acme --period 2026-03-01 --amount 29.85 --key re_123 --reason 'paid twice'"
EPILOG = lesson(
    (f"billfleet ledger refund {WHAT} --yes", "so much was given back at the gateway, as re_123"),
)


def register(group: typer.Typer) -> None:
    """Add the command to the ledger's group."""
    group.command("refund", short_help="Write down what was given back.", epilog=EPILOG)(refund)


def refund(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")],
    tenant: Annotated[str, typer.Option("--tenant", help="The tenant's id.")],
    period: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="First day of the period it paid for.")
    ],
    amount: Annotated[str, typer.Option(help="In the bill's currency, such as 29.85.")],
    key: Annotated[str, typer.Option(help="The gateway's id of the refund, or of the dispute.")],
    reason: Annotated[str, typer.Option(help="Why, for whoever asks later.")],
    yes: Annotated[bool, typer.Option("--yes", help="Really do it.")] = False,
) -> None:
    """Write a refund, or a dispute that was lost, into the ledger.

    It moves no money: give it back at the gateway first. No more is taken than was captured for
    the period and not given back before; the same key again changes nothing.
    """
    bill, posted = asyncio.run(
        _refund(tenant, account, period.date(), amount, key=key, reason=reason, is_meant=yes)
    )
    said = f"{amount} {bill.currency} of {account} for {bill.period_start}"
    output = Output()
    if posted.is_new:
        output.say(f"{said} was given back: transfer {posted.transfer_id}.")
    else:
        output.say(f"{said} was written down before, as transfer {posted.transfer_id}.")


async def _refund(
    tenant: str,
    account: str,
    period_start: date,
    amount: str,
    *,
    key: str,
    reason: str,
    is_meant: bool,
) -> tuple[Bill, PostedTransfer]:
    async with tenant_connection(tenant) as connection:
        bill = await _bill(connection, tenant, account, period_start)
        amount_minor = _minor(amount, bill.currency)
        if not is_meant:
            left = await _left(connection, bill)
            raise Refused(
                f"Nothing was done: {left} of what was paid is left to give back",
                where=f"account {account}, {period_start}",
                remedy="Give it back at the gateway, then run it again with --yes.",
            )
        try:
            posted = await ledger.refund(
                connection,
                tenant_id=tenant,
                account_id=account,
                period_start=period_start,
                amount_minor=amount_minor,
                currency=bill.currency,
                refund_key=key,
                reason=reason,
                work_id=f"{WORK_ID} {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            )
        except LedgerRefused as refused:
            raise Refused(
                f"The ledger does not take it: {refused}",
                where=f"account {account}, {period_start}",
                remedy=f"`billfleet ledger show {account} --tenant {tenant}` says what there is.",
            ) from refused
        return bill, posted


async def _bill(connection: AsyncConnection, tenant: str, account: str, period_start: date) -> Bill:
    if await accounts.get(connection, tenant, account) is None:
        raise await unknown_account(connection, tenant, account)
    known = {
        bill.period_start: bill for bill in await bills.of_account(connection, tenant, account)
    }
    if period_start not in known:
        raise UsageWrong(
            f"{account} has no bill of the period that starts on {period_start}",
            where="--period",
            remedy=f"`billfleet accounts show {account} --tenant {tenant}` lists its periods.",
        )
    return known[period_start]


async def _left(connection: AsyncConnection, bill: Bill) -> str:
    so_far = await ledger.collected(
        connection, bill.tenant_id, bill.account_id, bill.period_start, bill.currency
    )
    return format_minor(so_far.captured_minor - so_far.refunded_minor, bill.currency)


def _minor(amount: str, currency: str) -> int:
    try:
        amount_minor = parse_minor(amount, currency)
    except MoneyError as error:
        raise UsageWrong(str(error), where="--amount", remedy="Write it as 29.85.") from error
    if amount_minor <= 0:
        raise UsageWrong(
            "A refund is more than nothing", where="--amount", remedy="Write it as 29.85."
        )
    return amount_minor
