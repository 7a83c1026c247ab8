"""Accounts with open bills, a gateway, and messages, for tests of collection.

Rows are made through the same doors as in production: the ledger's charge, then its bill. Time
stands still unless a test moves it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import count

from billfleet_contracts import ChargeRef, CollectPayments, Event, PaymentReported, wrap
from billfleet_db import Database, accounts, bills, ledger
from billfleet_db.accounts import NewAccount
from billfleet_db.bills import NewBill
from billfleet_db.customers import Customer, upsert_customers
from billfleet_db.tenants import Tenant, ensure_tenant
from billfleet_workers.adapters.memory_payments import MemoryGateway
from billfleet_workers.handlers.collect import CollectHandler, CollectPolicy
from billfleet_workers.runtime.clock import ManualClock
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.ports.payments import PaymentGateway
from rebill_world import CountingMetrics, execute, left, read

__all__ = ["World", "execute", "left", "read"]

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
JANUARY, FEBRUARY, MARCH = date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)
HOUR_S, DAY_S = 3600, 86400
TENANT = "acme"
_tokens = count(1)


def key(account_id: str = "a1", period: date = MARCH, attempt_no: int = 1) -> str:
    return f"{TENANT}:{account_id}:{period}:{attempt_no}"


def ref(
    account_id: str = "a1", period: date = MARCH, attempt_no: int = 1, check_no: int = 0
) -> ChargeRef:
    return ChargeRef(
        account_id=account_id, period_start=period, attempt_no=attempt_no, check_no=check_no
    )


def reported(
    result: str, attempt_key: str, *, gateway: str = "memory", event_id: str = "e1", code: str = ""
) -> PaymentReported:
    return PaymentReported.model_validate(
        {
            "gateway": gateway,
            "gateway_event_id": event_id,
            "attempt_key": attempt_key,
            "result": result,
            "gateway_reference": "ref-from-report",
            "decline_code": code or None,
            "occurred_at": NOW,
        }
    )


@dataclass
class World:
    """A database with one tenant, and the worker in front of it."""

    database: Database
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))
    policy: CollectPolicy = field(default_factory=CollectPolicy)
    gateway: MemoryGateway = field(init=False)

    def __post_init__(self) -> None:
        self.gateway = MemoryGateway(self.clock)

    def handler(
        self, gateway: PaymentGateway | None = None, database: Database | None = None
    ) -> CollectHandler:
        return CollectHandler(
            database or self.database,
            gateway or self.gateway,
            self.clock,
            CountingMetrics(),
            self.policy,
        )

    async def seed(
        self,
        *account_ids: str,
        periods: Sequence[date] = (MARCH,),
        amount_minor: int = 2985,
        currency: str = "USD",
        dunning: Mapping[str, object] | None = None,
        payment_method: str | None = None,
    ) -> None:
        """Accounts that owe for these periods. An account's payment method is `pm-<id>`."""
        new = [
            NewAccount(
                account_id=name,
                customer_id="c1",
                amount_minor=amount_minor,
                currency=currency,
                anchor_day=1,
                time_zone="UTC",
                rebilling_date=date(2026, 4, 1),
                payment_method=payment_method or f"pm-{name}",
            )
            for name in account_ids
        ]
        async with self.database.transaction() as connection:
            await ensure_tenant(connection, Tenant(TENANT, "Acme", "USD", dunning=dunning or {}))
            await upsert_customers(connection, [Customer(TENANT, "c1", "Ada")])
            await accounts.insert(connection, TENANT, new, now=NOW)
        for name in account_ids:
            await self.add_bills(name, periods, amount_minor, currency)

    async def add_bills(
        self, name: str, periods: Sequence[date], amount_minor: int = 2985, currency: str = "USD"
    ) -> None:
        """Charge these periods to the account, as a rebill does."""
        wanted = [
            ledger.NewTransfer(
                tenant_id=TENANT,
                transfer_key=ledger.charge_key(name, period),
                kind="charge",
                account_id=name,
                period_start=period,
                amount_minor=amount_minor,
                currency=currency,
                work_id="rebill",
            )
            for period in periods
        ]
        async with self.database.transaction() as connection:
            posted = await ledger.post_transfers(connection, wanted)
            new = [
                NewBill(name, period, period.replace(day=28), amount_minor, currency,
                        done.transfer_id, self.clock.now())
                for period, done in zip(periods, posted, strict=True)
            ]  # fmt: skip
            await bills.insert(connection, TENANT, new, now=self.clock.now())

    def work(self, event: Event, receive_count: int = 1, work_id: str | None = None) -> Work:
        envelope = wrap(event, tenant=TENANT, source="/test", now=NOW, id=work_id)
        token = f"token-{next(_tokens)}"
        return Work(envelope, "m1", receive_count, self.clock.now(), token)

    async def collect(self, *refs: ChargeRef, receive_count: int = 1) -> Finished:
        """One delivery that asks for these bills."""
        event = CollectPayments(charges=refs or (ref(),))
        return await self.handler().handle(self.work(event, receive_count))

    async def report(self, event: PaymentReported) -> Finished:
        return await self.handler().handle(self.work(event))

    async def state(self, account_id: str = "a1") -> str:
        found = await self.rows("SELECT state FROM billing.accounts WHERE account_id = :a",
                                a=account_id)  # fmt: skip
        return str(found[0][0])

    async def bill(self, account_id: str = "a1", period: date = MARCH) -> bills.Bill:
        async with self.database.transaction() as connection:
            found = await bills.of_account(connection, TENANT, account_id)
        return next(bill for bill in found if bill.period_start == period)

    async def attempts(self, account_id: str = "a1") -> list[tuple[object, ...]]:
        """Number and state of each attempt, oldest first."""
        return list(
            await self.rows(
                "SELECT attempt_no, state FROM billing.attempts WHERE account_id = :a "
                "ORDER BY period_start, attempt_no",
                a=account_id,
            )
        )

    async def payments(self) -> list[tuple[object, ...]]:
        """Kind and amount of every row of the ledger that is not a charge."""
        return list(
            await self.rows(
                "SELECT kind, account_id, amount_minor FROM billing.transfers "
                "WHERE kind <> 'charge' ORDER BY transfer_id"
            )
        )

    async def owed_minor(self, account_id: str = "a1") -> int:
        async with self.database.transaction() as connection:
            return (await ledger.balance_of(connection, TENANT, account_id)).get("USD", 0)

    async def rows(self, query: str, **values: object) -> Sequence[tuple[object, ...]]:
        return await read(self.database, query, **values)

    async def execute(self, statement: str, **values: object) -> None:
        await execute(self.database, statement, **values)

    async def pass_time(self, seconds: float) -> None:
        await self.clock.advance(seconds)
