"""Tenants, accounts and messages for tests of rebilling, and what a test wants to read back.

Everything goes through the same doors as in production: accounts by `billfleet_db`, messages by
the contract. Time stands still unless a test moves it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime

from sqlalchemy import text

from billfleet_contracts import AccountPeriod, Envelope, Event, RebillAccounts, decode, wrap
from billfleet_db import Database, accounts
from billfleet_db.accounts import NewAccount
from billfleet_db.customers import Customer, upsert_customers
from billfleet_db.tenants import Tenant, ensure_tenant
from billfleet_workers.handlers.rebill.handler import RebillHandler
from billfleet_workers.handlers.rebill.plan import RebillLimits
from billfleet_workers.runtime.clock import ManualClock
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.ports import metrics

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TODAY = NOW.date()
FEBRUARY = date(2026, 2, 1)
MARCH = date(2026, 3, 1)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LIMITS = RebillLimits()

Period = tuple[str, date]


class CountingMetrics:
    """Adds counters up by name and tags; forgets the rest."""

    def __init__(self) -> None:
        self.counted: Counter[tuple[str, ...]] = Counter()

    def count(self, name: metrics.Counter, value: int = 1, **tags: str) -> None:
        self.counted[(name, *tags.values())] += value

    def timing(self, name: metrics.Timer, ms: float, **tags: str) -> None:
        pass

    def timings(self, name: metrics.Timer, all_ms: Sequence[float], **tags: str) -> None:
        pass

    def gauge(self, name: metrics.Gauge, value: float, **tags: str) -> None:
        pass


def account(
    account_id: str,
    rebilling_date: date = MARCH,
    *,
    amount_minor: int = 2985,
    currency: str = "USD",
    anchor_day: int = 1,
    interval_months: int = 1,
    time_zone: str = "UTC",
) -> NewAccount:
    return NewAccount(
        account_id=account_id,
        customer_id="c1",
        amount_minor=amount_minor,
        currency=currency,
        anchor_day=anchor_day,
        interval_months=interval_months,
        time_zone=time_zone,
        rebilling_date=rebilling_date,
    )


async def seed(database: Database, *new: NewAccount, tenant: str = "acme") -> None:
    """Create the tenant, its one customer and the accounts."""
    async with database.transaction() as connection:
        await ensure_tenant(connection, Tenant(tenant, "Acme", "USD"))
        await upsert_customers(connection, [Customer(tenant, "c1", "Ada")])
        await accounts.insert(connection, tenant, new, now=NOW)


def request(
    *periods: Period, as_of: date = TODAY, tenant: str = "acme", work_id: str | None = None
) -> Envelope:
    """A `RebillAccounts` as it comes off the wire."""
    event = RebillAccounts(
        as_of=as_of,
        accounts=tuple(AccountPeriod(account_id=name, period_start=day) for name, day in periods),
    )
    return wrap(event, tenant=tenant, source="/test", now=NOW, id=work_id, traceparent=TRACEPARENT)


def work(envelope: Envelope, receive_count: int = 1) -> Work:
    return Work(envelope, f"m-{envelope.id}", receive_count, NOW, f"t-{envelope.id}")


def handler(
    database: Database,
    *,
    now: datetime = NOW,
    limits: RebillLimits = LIMITS,
    metrics: CountingMetrics | None = None,
) -> RebillHandler:
    return RebillHandler(database, ManualClock(now), limits, metrics or CountingMetrics())


async def handle(database: Database, *periods: Period, tenant: str = "acme") -> Finished:
    """One message with these periods, handled once."""
    return await handler(database).handle(work(request(*periods, tenant=tenant)))


async def charges(database: Database, tenant: str = "acme") -> list[Period]:
    """Every charge of the ledger; a period charged twice would be there twice."""
    rows = await read(
        database,
        "SELECT account_id, period_start FROM billing.transfers "
        "WHERE kind = 'charge' AND tenant_id = :tenant ORDER BY account_id, period_start",
        tenant=tenant,
    )
    return [(str(name), day) for name, day in rows if isinstance(day, date)]


async def rebilling_dates(database: Database, tenant: str = "acme") -> dict[str, date]:
    rows = await read(
        database,
        "SELECT account_id, rebilling_date FROM billing.accounts WHERE tenant_id = :tenant",
        tenant=tenant,
    )
    return {str(name): day for name, day in rows if isinstance(day, date)}


async def left(database: Database, kind: type[Event]) -> list[Envelope]:
    """The events of one kind in the outbox, in the order of writing."""
    rows = await read(
        database,
        "SELECT body FROM fleet.outbox WHERE event_type = :type ORDER BY outbox_id",
        type=kind.TYPE,
    )
    return [decode(str(body)) for (body,) in rows]


async def read(database: Database, query: str, **values: object) -> Sequence[tuple[object, ...]]:
    """Rows of a query, as tuples."""
    async with database.transaction() as connection:
        return [tuple(row) for row in await connection.execute(text(query), values)]


async def execute(database: Database, statement: str, **values: object) -> None:
    """One statement in a transaction of its own."""
    async with database.transaction() as connection:
        await connection.execute(text(statement), values)


def all_once(found: Iterable[Period], wanted: Iterable[Period]) -> bool:
    """Whether exactly the wanted periods are there, each once."""
    return Counter(found) == Counter(set(wanted))
