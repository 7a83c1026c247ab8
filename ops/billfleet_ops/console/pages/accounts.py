"""Accounts: who is billed and why, the ledger, attempts, and dead letters that name them."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billfleet_db import history, searching
from billfleet_ops.console.parts import console_of, page, problem
from billfleet_ops.ledger_views import with_balance
from billfleet_ops.why import explain


def routes() -> list[Route]:
    """The pages here."""
    return [Route("/accounts", listed), Route("/accounts/{tenant}/{account}", one)]


async def listed(request: Request) -> Response:
    """Those that match."""
    sought = request.query_params.get("q", "").strip()
    async with console_of(request).database.transaction() as connection:
        found = await searching.find_accounts(connection, sought)
    return page(request, "accounts.html", sought=sought, accounts=found)


async def one(request: Request) -> Response:
    """One account, all of it."""
    console = console_of(request)
    tenant, account = request.path_params["tenant"], request.path_params["account"]
    async with console.database.transaction() as connection:
        found = await history.of_account(connection, tenant, account)
        if found is None:
            return problem(request, 404, f"There is no account {account} of {tenant}.")
        cards = await searching.cards_of(connection, tenant, found.account.customer_id)
    explanation = explain(
        found, now=console.now(), catch_up_periods_max=console.catch_up_periods_max
    )
    looks = console.looks.latest
    letters = [
        (name, reading)
        for name, look in looks.items()
        for reading in look.messages.values()
        if f'"{account}"' in reading.message.body
    ]
    unlooked = [
        one
        for one in console.picture.queues.values()
        if one.dead_count and one.queue.dlq_physical_name not in looks
    ]
    return page(
        request,
        "account.html",
        history=found,
        account=found.account,
        explanation=explanation,
        entries=list(reversed(with_balance(list(found.entries)))),
        cards=cards,
        letters=letters,
        unlooked=unlooked,
    )
