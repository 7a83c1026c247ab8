"""The expiry sweep: books what has expired, card by card, so that the books say it too.

`billfleet sweep loyalty-expiry` runs it through `main`. Balances don't wait for it: a lot whose
time has come is not spendable with or without it. Each card is a transaction of its own under the
card's lock; run twice, or at the same time, it finds nothing the second time (R60).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from billfleet_db import Database, loyalty
from billfleet_workers.handlers.loyalty_points.visit import Origin, close_visit, open_visit
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock

PAGE_CARDS = 500


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
        for card in page:
            lots, points = await _expire(database, card, clock.now(), source, dry_run=dry_run)
            report = ExpiryReport(
                report.cards + bool(lots), report.lots + lots, report.points + points, dry_run
            )
            progress(report)
        if len(page) < PAGE_CARDS:
            return report
        after = (page[-1].tenant_id, page[-1].card_id)


async def _expire(
    database: Database, found: loyalty.ExpiringCard, now: datetime, source: str, *, dry_run: bool
) -> tuple[int, int]:
    async with transaction(database) as connection:
        await loyalty.see_tenant(connection, found.tenant_id)
        card = await loyalty.cards.lock(connection, found.tenant_id, found.card_id)
        if card is None:
            return 0, 0
        origin = Origin(found.tenant_id, "sweep loyalty-expiry", source)
        visit = await open_visit(connection, origin, card, now)
        if not dry_run:
            await close_visit(visit, None)
        return len(visit.expired), sum(move.quantity for move in visit.expired)
