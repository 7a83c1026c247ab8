"""The search field, and a message's whole life from one id."""

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billfleet_db import searching
from billfleet_ops.console.life import Sources, life_of
from billfleet_ops.console.parts import console_of, go, page


def routes() -> list[Route]:
    """The pages here."""
    return [Route("/search", search), Route("/life", show)]


async def search(request: Request) -> Response:
    """Accounts, customers, cards and messages that are called so."""
    console, sought = console_of(request), request.query_params.get("q", "").strip()
    if not sought:
        return go("/")
    async with console.database.transaction() as connection:
        accounts = await searching.find_accounts(connection, sought)
        cards = await searching.find_cards(connection, sought)
    if not accounts and not cards:
        return go(f"/life?id={quote(sought)}")
    return page(request, "search.html", sought=sought, accounts=accounts, cards=cards)


async def show(request: Request) -> Response:
    """Made, sent, received, claimed, ended, and what it left behind."""
    console, sought = console_of(request), request.query_params.get("id", "").strip()
    if not sought:
        return page(request, "life.html", life=None, unlooked=[])
    sources = Sources(console.database, console.replay.dedupe, console.looks, console.picture)
    life = await life_of(sources, sought)
    unlooked = [
        one
        for one in console.picture.queues.values()
        if one.dead_count and one.queue.dlq_physical_name not in console.looks.latest
    ]
    return page(request, "life.html", life=life, unlooked=unlooked)
