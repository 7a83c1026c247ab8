"""A tenant with a programme, cards and rewards for tests of loyalty, and what a test reads back.

Everything goes through the same doors as in production. Time stands still unless a test moves it.
"""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from billfleet_contracts import (
    AddPoints,
    CancelTransaction,
    Earning,
    Event,
    IssueStamps,
    ProgrammeRules,
    RedeemReward,
    Stamps,
    wrap,
)
from billfleet_db import Database, loyalty
from billfleet_db.customers import Customer, upsert_customers
from billfleet_db.loyalty import Lot, LoyaltyFinding, Reward, RulesVersion
from billfleet_db.tenants import Tenant, ensure_tenant
from billfleet_workers.handlers.loyalty_points import Balance, Book, LoyaltyHandler, balance
from billfleet_workers.runtime.clock import ManualClock
from billfleet_workers.runtime.handling import Work
from rebill_world import CountingMetrics

Say = Callable[..., tuple[int, str, str]]
"""Runs a command line: its exit code, and what it said on both outputs."""

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PLAIN = ProgrammeRules(
    earning=Earning(points=1, per_minor=100, currency="EUR"),
    stamps=Stamps(size=5, reward_id="coffee"),
)
REWARDS = (
    Reward("mug", "A mug", points=100),
    Reward("poster", "A poster", points=40),
    Reward("last", "The last one", points=10, stock=1),
    Reward("coffee", "A coffee"),
)


class WallClock(ManualClock):
    """Stands where it was set, backwards too."""

    def __init__(self) -> None:
        super().__init__(START)

    def set(self, to: datetime) -> None:
        self._elapsed_s = (to - self._start).total_seconds()


class World:
    """One database, one clock, and a handler over both."""

    def __init__(self, database: Database, *, tenant: str = "acme") -> None:
        self.database = database
        self.tenant = tenant
        self.clock = WallClock()
        self.metrics = CountingMetrics()
        self.handler = LoyaltyHandler(database, self.clock, self.metrics)
        self._numbers = itertools.count(1)

    async def seed(
        self,
        rules: ProgrammeRules = PLAIN,
        *cards: str,
        time_zone: str = "UTC",
        brand: str = "north",
        programme: str = "club",
        rewards: tuple[Reward, ...] = REWARDS,
    ) -> None:
        """Create the tenant, one customer, brand, store, programme, rewards and cards."""
        async with self.database.transaction() as connection:
            await ensure_tenant(connection, Tenant(self.tenant, "Acme", "EUR", time_zone))
            await upsert_customers(connection, [Customer(self.tenant, "c1", "Ada")])
            await loyalty.see_tenant(connection, self.tenant)
            await loyalty.programmes.ensure(
                connection,
                self.tenant,
                programme,
                brand_id=brand,
                name=programme,
                store_ids=[f"{brand}-1"],
            )
            for reward in rewards:
                await loyalty.programmes.set_reward(connection, self.tenant, programme, reward)
            holders = dict.fromkeys(cards or ("card",), "c1")
            await loyalty.cards.open_cards(connection, self.tenant, programme, holders)
        await self.set_rules(rules, programme=programme)

    async def set_rules(
        self,
        rules: ProgrammeRules,
        version: int = 1,
        valid_from: datetime = BEGINNING,
        programme: str = "club",
    ) -> None:
        async with self.database.transaction() as connection:
            await loyalty.see_tenant(connection, self.tenant)
            new = RulesVersion(version, valid_from, rules.model_dump(mode="json"))
            await loyalty.programmes.add_rules(
                connection, self.tenant, programme, new, work_id="test"
            )

    def work(self, event: Event, tenant: str | None = None) -> Work:
        envelope = wrap(event, tenant=tenant or self.tenant, source="/test", now=self.clock.now())
        return Work(envelope, f"m-{envelope.id}", 1, self.clock.now(), f"t-{envelope.id}")

    async def handle(self, event: Event, tenant: str | None = None) -> str:
        """The one word that the handler ended with."""
        [word] = await self.handle_all(self.work(event, tenant))
        return word

    async def handle_all(self, *works: Work) -> list[str]:
        """One call for all of them: the word that each ended with; the first error is raised."""
        words = []
        for answer in await self.handler.handle_batch(works):
            if isinstance(answer, Exception):
                raise answer
            words.append(str(next(iter(answer.note))))
        return words

    def new_id(self) -> str:
        return f"t{next(self._numbers)}"

    def buying(
        self,
        points: int = 0,
        *,
        card: str = "card",
        amount_minor: int | None = None,
        at: datetime | None = None,
        store: str | None = None,
        redeemed_minor: int = 0,
        currency: str = "EUR",
        transaction_id: str | None = None,
    ) -> AddPoints:
        return AddPoints(
            card_id=card,
            transaction_id=transaction_id or self.new_id(),
            occurred_at=at or self.clock.now(),
            amount_minor=points * 100 if amount_minor is None else amount_minor,
            currency=currency,
            store_id=store,
            redeemed_minor=redeemed_minor,
        )

    async def buy(
        self,
        points: int = 0,
        *,
        card: str = "card",
        amount_minor: int | None = None,
        at: datetime | None = None,
    ) -> str:
        """A purchase that earns so many points under the plain rules; its id."""
        event = self.buying(points, card=card, amount_minor=amount_minor, at=at)
        assert await self.handle(event) == "done"
        return event.transaction_id

    def redeeming(
        self, reward: str = "mug", *, card: str = "card", voucher: bool = False
    ) -> RedeemReward:
        return RedeemReward(
            card_id=card,
            transaction_id=self.new_id(),
            occurred_at=self.clock.now(),
            reward_id=reward,
            pay_with="voucher" if voucher else "points",
        )

    async def redeem(self, reward: str = "mug", *, voucher: bool = False) -> str:
        event = self.redeeming(reward, voucher=voucher)
        assert await self.handle(event) == "done"
        return event.transaction_id

    def cancelling(
        self, cancels: str, quantity: int | None = None, *, card: str = "card"
    ) -> CancelTransaction:
        return CancelTransaction(
            card_id=card,
            transaction_id=self.new_id(),
            occurred_at=self.clock.now(),
            cancels=cancels,
            quantity=quantity,
        )

    async def cancel(self, cancels: str, quantity: int | None = None) -> str:
        return await self.handle(self.cancelling(cancels, quantity))

    def stamping(self, visits: int = 1, *, card: str = "card") -> IssueStamps:
        return IssueStamps(
            card_id=card,
            transaction_id=self.new_id(),
            occurred_at=self.clock.now(),
            visits=visits,
        )

    async def lots(self, card: str = "card") -> dict[str, Lot]:
        async with self.database.transaction() as connection:
            await loyalty.see_tenant(connection, self.tenant)
            found = await loyalty.lots.all_lots(connection, self.tenant, card)
        return {lot.lot_id: lot for lot in found}

    async def card(self, card: str = "card") -> loyalty.Card:
        async with self.database.transaction() as connection:
            await loyalty.see_tenant(connection, self.tenant)
            found = await loyalty.cards.get(connection, self.tenant, card)
        assert found is not None
        return found

    async def balance(
        self, card: str = "card", *, rules: ProgrammeRules = PLAIN, at: datetime | None = None
    ) -> Balance:
        row = await self.card(card)
        book = Book(await self.lots(card), row.debt_points, row.stamps)
        return balance(book, at or self.clock.now(), rules.debt)

    async def spendable(self, card: str = "card") -> int:
        return (await self.balance(card)).spendable

    async def vouchers(self, card: str = "card") -> int:
        async with self.database.transaction() as connection:
            await loyalty.see_tenant(connection, self.tenant)
            return len(await loyalty.programmes.open_vouchers(connection, self.tenant, card))

    async def execute(self, statement: str) -> None:
        """One statement, as a session that sees the whole of this tenant."""
        async with self.database.transaction() as connection:
            await loyalty.see_tenant(connection, self.tenant)
            await connection.execute(text(statement))

    async def verify(self) -> list[LoyaltyFinding]:
        async with self.database.transaction("REPEATABLE READ") as connection:
            await loyalty.see_tenant(connection, loyalty.ALL_TENANTS)
            return await loyalty.audit.verify(connection)

    def later(self, by: timedelta) -> None:
        """Let time pass."""
        self.clock.set(self.clock.now() + by)
