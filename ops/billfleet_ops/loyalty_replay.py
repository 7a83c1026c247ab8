"""Plays purchases of a file through the loyalty worker, and compares every lot with the plan.

Called by `billfleet loyalty replay` and the benchmark; the plan is `purchase_plan`'s. Messages go
through SQS like anybody's; a worker must run elsewhere. Done again it sends the same messages under
the same ids, and nothing changes.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest

from sqlalchemy import text

from billfleet_contracts import Earning, Event, ProgrammeRules
from billfleet_db import Database, loyalty
from billfleet_db.customers import Customer, upsert_customers
from billfleet_db.tenants import Tenant, ensure_tenant
from billfleet_ops.purchase_plan import CENTS_PER_POINT, CURRENCY, PRICES, CardPlan
from billfleet_producers import Producer

PROGRAMME = "replay"
MESSAGES_PER_SEND = 1000
POLL_S = 1.0
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
RULES = ProgrammeRules(
    earning=Earning(points=1, per_minor=CENTS_PER_POINT, currency=CURRENCY), debt="receivable"
)

_RECORDED = text("""
    SELECT count(*) FROM loyalty.transactions t JOIN loyalty.cards c USING (tenant_id, card_id)
    WHERE t.tenant_id = :tenant_id AND t.kind <> 'expiry'
      AND c.card_id = ANY(CAST(:card_ids AS text[]))
""")
_LOTS = text("""
    SELECT card_id, lot_id, remaining, spent, reversed, owed FROM loyalty.lots
    WHERE tenant_id = :tenant_id AND card_id = ANY(CAST(:card_ids AS text[]))
""")
_DEBTS = text("""
    SELECT card_id, debt_points FROM loyalty.cards
    WHERE tenant_id = :tenant_id AND card_id = ANY(CAST(:card_ids AS text[]))
""")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the database says beside what the plan says."""

    cards: int
    lots: int
    balance: int
    debt: int
    differences: Sequence[str]


def in_waves(plans: Sequence[CardPlan]) -> Iterator[Event]:
    """Every card's first message, then every card's second: each card's own order is kept."""
    for wave in zip_longest(*(plan.events for plan in plans)):
        yield from (event for event in wave if event is not None)


async def set_up(database: Database, tenant: str, plans: Sequence[CardPlan]) -> None:
    """Create the tenant, the programme with its rewards, and the cards, where they are missing."""
    holders = {plan.card_id: plan.card_id for plan in plans}
    async with database.transaction() as connection:
        await ensure_tenant(connection, Tenant(tenant, tenant, CURRENCY))
        await loyalty.see_tenant(connection, tenant)
        await upsert_customers(connection, [Customer(tenant, one, one) for one in holders])
        await loyalty.programmes.ensure(
            connection, tenant, PROGRAMME, brand_id=PROGRAMME, name="Replayed purchases"
        )
        version = loyalty.RulesVersion(1, BEGINNING, RULES.model_dump(mode="json"))
        await loyalty.programmes.add_rules(
            connection, tenant, PROGRAMME, version, work_id="loyalty replay"
        )
        for price in PRICES:
            reward = loyalty.Reward(f"for-{price}", f"Worth {price}", points=price)
            await loyalty.programmes.set_reward(connection, tenant, PROGRAMME, reward)
        await loyalty.cards.open_cards(connection, tenant, PROGRAMME, holders)


async def send(
    producer: Producer,
    tenant: str,
    plans: Sequence[CardPlan],
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Enqueue every message of the plan; returns how many.

    Raises:
        billfleet_producers.ProducerError: something could not be sent.
    """
    sent, waiting = 0, list[tuple[Event, str]]()
    for event in in_waves(plans):
        waiting.append((event, tenant))
        if len(waiting) == MESSAGES_PER_SEND:
            (await producer.send_batch(waiting)).raise_for_failures()
            sent += len(waiting)
            progress(sent)
            waiting.clear()
    if waiting:
        (await producer.send_batch(waiting)).raise_for_failures()
    progress(sent + len(waiting))
    return sent + len(waiting)


async def wait(
    database: Database,
    tenant: str,
    plans: Sequence[CardPlan],
    progress: Callable[[int], None] = lambda _: None,
    *,
    patience_s: float,
) -> int:
    """Wait until the worker has written all of it down, or makes no progress for so long."""
    total = sum(len(plan.events) for plan in plans)
    recorded, idle_s = -1, 0.0
    while recorded < total and idle_s < patience_s:
        async with database.transaction() as connection:
            await loyalty.see_tenant(connection, tenant)
            now = int((await connection.execute(_RECORDED, _scope(tenant, plans))).scalar_one())
        idle_s = 0.0 if now != recorded else idle_s + POLL_S
        recorded = now
        progress(recorded)
        if recorded < total:
            await asyncio.sleep(POLL_S)
    return recorded


async def compare(database: Database, tenant: str, plans: Sequence[CardPlan]) -> Comparison:
    """Each lot and each debt of the plan's cards, against the plan's own arithmetic."""
    async with database.transaction("REPEATABLE READ") as connection:
        await loyalty.see_tenant(connection, tenant)
        lots = (await connection.execute(_LOTS, _scope(tenant, plans))).all()
        debts = (await connection.execute(_DEBTS, _scope(tenant, plans))).all()
    found = {(row[0], row[1]): tuple(row[2:]) for row in lots}
    wanted = {
        (plan.card_id, lot_id): (lot.remaining, lot.spent, lot.reversed, lot.owed)
        for plan in plans
        for lot_id, lot in plan.expected.lots.items()
    }
    differences = [
        f"card {key[0]}, lot {key[1]}: {found.get(key)} instead of {wanted.get(key)}"
        for key in sorted({*found, *wanted})
        if found.get(key) != wanted.get(key)
    ]
    owed = {str(card_id): int(debt) for card_id, debt in debts}
    differences += [
        f"card {plan.card_id} owes {owed.get(plan.card_id)} instead of {plan.expected.debt}"
        for plan in plans
        if owed.get(plan.card_id) != plan.expected.debt
    ]
    return Comparison(
        cards=len(owed),
        lots=len(found),
        balance=sum(parts[0] for parts in found.values()),
        debt=sum(owed.values()),
        differences=differences,
    )


def _scope(tenant: str, plans: Sequence[CardPlan]) -> dict[str, object]:
    return {"tenant_id": tenant, "card_ids": [plan.card_id for plan in plans]}
