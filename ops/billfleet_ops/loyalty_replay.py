"""Plays purchases of a file through the loyalty worker, and compares every lot with the plan.

Called by `billfleet loyalty replay` and the benchmark; the plan is `purchase_plan`'s. Messages go
through SQS like anybody's, no more at a time than the queue should hold; a worker must run
elsewhere. Done again, all of them are sent again, and nothing changes.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import text

from billfleet_contracts import Earning, Event, ProgrammeRules
from billfleet_db import Database, loyalty
from billfleet_db.customers import Customer, upsert_customers
from billfleet_db.tenants import Tenant, ensure_tenant
from billfleet_ops.errors import OpsError
from billfleet_ops.purchase_plan import CENTS_PER_POINT, CURRENCY, PRICES, CardPlan
from billfleet_ops.queues import Backlog
from billfleet_producers import Outgoing, Producer

PROGRAMME = "replay"
MESSAGES_PER_SEND = 500
OPEN_MESSAGES_MAX = 1500
POLL_S = 0.5
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
RULES = ProgrammeRules(
    earning=Earning(points=1, per_minor=CENTS_PER_POINT, currency=CURRENCY), debt="receivable"
)

_DIGESTED = {
    "cards": "card_id",
    "lots": "lot_id",
    "transactions": "transaction_id",
    "movements": "movement_id",
}
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


def spread(plans: Sequence[CardPlan]) -> list[Event]:
    """Every card's messages in their order, spread evenly over the whole.

    A card's messages follow each other, so that those of a busy one must not all come last.
    """
    placed = [
        ((number + 0.5) / len(plan.events), plan.card_id, number, event)
        for plan in plans
        for number, event in enumerate(plan.events)
    ]
    return [event for *_, event in sorted(placed, key=lambda one: one[:3])]


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


class Round:
    """One time through the plan: everything is sent, and the queue is empty afterwards.

    `key_suffix` makes other dedupe keys of the events' own, so that neither SQS nor the dedupe
    table can turn the messages away: every one of them reaches the handler and PostgreSQL.
    """

    def __init__(
        self,
        producer: Producer,
        backlog: Callable[[], Awaitable[Backlog]],
        tenant: str,
        *,
        key_suffix: str = "",
        patience_s: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._producer = producer
        self._backlog = backlog
        self._tenant = tenant
        self._key_suffix = key_suffix
        self._patience_s = patience_s
        self._sleep = sleep

    async def play(
        self, events: Sequence[Event], progress: Callable[[int, int], None] = lambda *_: None
    ) -> None:
        """Send all of it, and return when the worker has done all of it.

        `progress` is told how many were sent, and how many of them are done.

        Raises:
            billfleet_producers.ProducerError: something could not be sent.
            OpsError: the worker makes no progress, or messages end in the dead-letter queue.
        """
        dead = (await self._backlog()).dead
        for sent in range(0, len(events), MESSAGES_PER_SEND):
            await self._until(OPEN_MESSAGES_MAX, dead, sent, progress)
            part = events[sent : sent + MESSAGES_PER_SEND]
            messages = [self._message(event) for event in part]
            (await self._producer.send_batch(messages)).raise_for_failures()
        await self._until(0, dead, len(events), progress)

    def _message(self, event: Event) -> Outgoing:
        key = f"{event.default_dedupe_key()}{self._key_suffix}"
        return self._producer.prepare(event, tenant=self._tenant, dedupe_key=key)

    async def _until(
        self, open_max: int, dead: int, sent: int, progress: Callable[[int, int], None]
    ) -> None:
        before, idle_s = -1, 0.0
        while True:
            now = await self._backlog()
            if now.dead > dead:
                raise OpsError(
                    f"{now.dead - dead} messages ended in the dead-letter queue",
                    where="loyalty-points",
                    remedy="`billfleet replay-dlq` says why and brings them home.",
                )
            progress(sent, sent - now.open)
            if now.open <= open_max:
                return
            idle_s = idle_s + POLL_S if now.open == before else 0.0
            before = now.open
            if idle_s >= self._patience_s:
                raise OpsError(
                    f"{now.open} of {sent} messages wait, and none was done for "
                    f"{self._patience_s:.0f} s",
                    where="loyalty-points",
                    remedy="Is a worker running? `billfleet status` shows queues and dead "
                    "letters; run this again when it does.",
                )
            await self._sleep(POLL_S)


async def digest(database: Database, tenant: str) -> str:
    """One digest of every card, lot, transaction and movement of the tenant, as they stand."""
    parts = hashlib.sha256()
    async with database.transaction("REPEATABLE READ") as connection:
        await loyalty.see_tenant(connection, tenant)
        for table, key in _DIGESTED.items():
            query = text(
                f"SELECT encode(sha256(convert_to(coalesce(string_agg(md5(t::text), '' ORDER BY "  # noqa: S608 (names of ours)
                f"{key}), ''), 'UTF8')), 'hex') FROM loyalty.{table} t WHERE tenant_id = :tenant_id"
            )
            found = await connection.execute(query, {"tenant_id": tenant})
            parts.update(f"{table} {found.scalar_one()}\n".encode())
    return parts.hexdigest()


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
