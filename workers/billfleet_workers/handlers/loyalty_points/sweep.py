"""The expiry sweep: books what has expired, card by card, so that the books say it too.

`billfleet sweep loyalty-expiry` runs it through `main`. Balances don't wait for it: a lot whose
time has come is not spendable with or without it. So many cards share a transaction under their
locks; run twice, or at the same time, it finds nothing the second time (R60).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from billfleet_db import Database, loyalty
from billfleet_workers.handlers.loyalty_points.counter import open_counter
from billfleet_workers.handlers.loyalty_points.rules_book import RulesBook
from billfleet_workers.handlers.loyalty_points.slip import Origin, Slip, flush
from billfleet_workers.handlers.loyalty_points.visit import close_visit, open_visit
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock

PAGE_CARDS = 500
CARDS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class ExpiryReport:
    """What the sweep found."""

    cards: int = 0
    lots: int = 0
    points: int = 0
    is_dry_run: bool = False


async def sweep_expiry(
    database: Database,
    clock: Clock,
    *,
    tenant: str | None = None,
    dry_run: bool = False,
    source: str = "/billfleet/sweep",
    progress: Callable[[ExpiryReport], None] = lambda _: None,
) -> ExpiryReport:
    """Expire what is due of every card, or only count it."""
    report = ExpiryReport(is_dry_run=dry_run)
    after = ("", "")
    while True:
        async with transaction(database) as connection:
            await loyalty.see_tenant(connection, tenant or loyalty.ALL_TENANTS)
            page = await loyalty.cards.expiring(
                connection, at=clock.now(), tenant_id=tenant, after=after, limit=PAGE_CARDS
            )
        for tenant_id, mine in groupby(page, key=lambda card: card.tenant_id):
            ids = [card.card_id for card in mine]
            for start in range(0, len(ids), CARDS_AT_ONCE):
                slip = Slip(tenant_id, source, clock.now())
                cards, lots, points = await _expire(
                    database, slip, ids[start : start + CARDS_AT_ONCE], dry_run=dry_run
                )
                report = ExpiryReport(
                    report.cards + cards, report.lots + lots, report.points + points, dry_run
                )
                progress(report)
        if len(page) < PAGE_CARDS:
            return report
        after = (page[-1].tenant_id, page[-1].card_id)


async def _expire(
    database: Database, slip: Slip, card_ids: Sequence[str], *, dry_run: bool
) -> tuple[int, int, int]:
    """Cards, lots and points of these cards that have expired."""
    origin = Origin(slip.tenant, "sweep loyalty-expiry", slip.source)
    async with transaction(database) as connection:
        counter = await open_counter(
            connection, slip.tenant, slip.now, card_ids=card_ids, book=RulesBook()
        )
        visits = [open_visit(counter, origin, card) for card in counter.cards.values()]
        for visit in visits:
            close_visit(visit, slip, None)
        if not dry_run:
            await flush(connection, slip)
    moves = [move for visit in visits for move in visit.expired]
    cards = sum(bool(visit.expired) for visit in visits)
    return cards, len(moves), sum(move.quantity for move in moves)
