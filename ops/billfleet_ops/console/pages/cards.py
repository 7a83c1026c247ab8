"""Loyalty cards: what each holds, when it ends, and what happened to it."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billfleet_db import searching
from billfleet_ops.card_reading import read_card
from billfleet_ops.console.parts import console_of, page, problem


def routes() -> list[Route]:
    """The pages here."""
    return [Route("/cards", listed), Route("/cards/{tenant}/{card}", one)]


async def listed(request: Request) -> Response:
    """Those that match."""
    sought = request.query_params.get("q", "").strip()
    async with console_of(request).database.transaction() as connection:
        found = await searching.find_cards(connection, sought)
    return page(request, "cards.html", sought=sought, cards=found)


async def one(request: Request) -> Response:
    """One card, all of it."""
    console = console_of(request)
    tenant, card_id = request.path_params["tenant"], request.path_params["card"]
    async with console.database.transaction("REPEATABLE READ") as connection:
        seen = await read_card(connection, tenant, card_id, console.now())
    if seen is None:
        return problem(request, 404, f"There is no card {card_id} of {tenant}.")
    return page(request, "card.html", tenant=tenant, seen=seen)
