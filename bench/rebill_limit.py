"""The limit of rebilling: the rows that the fleet wrote, written again by asyncpg alone.

`rebill.py` calls it after the fleet is done. Each way of writing gets a tenant of its own with
the same accounts, and what is to be written is in memory before the clock starts. Nothing of the
product's code takes part.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

PER_MESSAGE = 100

_ACCOUNTS = """
    INSERT INTO billing.accounts (tenant_id, account_id, customer_id, amount_minor, currency,
                                  anchor_day, time_zone, rebilling_date)
    SELECT $2, a.account_id, a.customer_id, a.amount_minor, a.currency, a.anchor_day, a.time_zone,
           b.period_start
    FROM billing.accounts a JOIN billing.bills b USING (tenant_id, account_id)
    WHERE a.tenant_id = $1
"""
_SOURCE = """
    SELECT b.account_id, b.period_start, b.period_end, b.amount_minor, b.currency,
           b.next_attempt_at, a.rebilling_date
    FROM billing.bills b JOIN billing.accounts a USING (tenant_id, account_id)
    WHERE b.tenant_id = $1 ORDER BY b.account_id
"""
_OUTBOX = """
    SELECT event_type, route_kind, route_name, dedupe_key, body FROM fleet.outbox
    WHERE tenant_id = $1 ORDER BY outbox_id
"""
_SIDES = """
    INSERT INTO billing.ledger_accounts (tenant_id, kind, account_id, currency)
    SELECT $1, 'receivable', account_id, 'USD' FROM unnest($2::text[]) AS account_id
    RETURNING ledger_account_id
"""
_TRANSFERS = """
    INSERT INTO billing.transfers (tenant_id, transfer_key, kind, account_id, period_start,
                                   debit_id, credit_id, amount_minor, currency, work_id)
    SELECT $1, 'charge:' || account_id || ':' || period_start, 'charge', account_id, period_start,
           debit_id, $2, amount_minor, currency, 'limit'
    FROM unnest($3::text[], $4::date[], $5::bigint[], $6::bigint[], $7::text[])
      AS n(account_id, period_start, debit_id, amount_minor, currency)
    RETURNING transfer_id
"""
_BILLS = """
    INSERT INTO billing.bills (tenant_id, account_id, period_start, period_end, amount_minor,
                               currency, charge_transfer_id, next_attempt_at)
    SELECT $1, * FROM unnest($2::text[], $3::date[], $4::date[], $5::bigint[], $6::text[],
                             $7::bigint[], $8::timestamptz[])
"""
_DATES = """
    UPDATE billing.accounts a SET rebilling_date = n.rebilling_date, updated_at = now()
    FROM unnest($2::text[], $3::date[]) AS n(account_id, rebilling_date)
    WHERE a.tenant_id = $1 AND a.account_id = n.account_id
"""
_EVENTS = """
    INSERT INTO fleet.outbox (tenant_id, event_id, event_type, route_kind, route_name, group_id,
                              dedupe_key, body)
    SELECT $1, n.event_id, n.event_type, n.route_kind, n.route_name, $1, n.dedupe_key, n.body
    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
      AS n(event_id, event_type, route_kind, route_name, dedupe_key, body)
"""


@dataclass(frozen=True)
class Limit:
    """One way of writing all rows, and what it took."""

    name: str
    accounts: int
    elapsed_s: float
    cpu_s_per_1000: float
    """Of the writing process alone; PostgreSQL's share is the same work as for the fleet."""

    @property
    def accounts_per_s(self) -> float:
        """Accounts written per second."""
        return self.accounts / self.elapsed_s


async def measure_limits(url: str, tenant: str, accounts: int) -> list[Limit]:
    """Write all rows three times: as the fleet's messages cut them, and all at once."""
    return [
        await _measure(url, tenant, "SQL, 100 a tx", accounts, per_transaction=PER_MESSAGE),
        await _measure(url, tenant, "SQL, on 4 conns", accounts, PER_MESSAGE, connections=4),
        await _measure(url, tenant, "SQL, one tx", accounts, per_transaction=accounts),
    ]


async def _measure(
    url: str, source: str, name: str, accounts: int, per_transaction: int, connections: int = 1
) -> Limit:
    pool = await asyncpg.create_pool(url, min_size=connections, max_size=connections)
    tenant = f"limit-{per_transaction}-{connections}"
    async with pool.acquire() as connection:
        revenue_id = await _prepare(connection, source, tenant)
        rows = await connection.fetch(_SOURCE, source)
        events = await connection.fetch(_OUTBOX, source)
    assert len(rows) == accounts
    batches = [
        _Batch(tenant, revenue_id, number, rows[start : start + per_transaction])
        for number, start in enumerate(range(0, accounts, per_transaction))
    ]
    per_batch = -(-len(events) // len(batches))
    for number, batch in enumerate(batches):
        batch.events = events[number * per_batch : (number + 1) * per_batch]
    waiting = iter(batches)
    cpu_before_s, started_s = sum(os.times()[:2]), time.perf_counter()

    async def write() -> None:
        async with pool.acquire() as connection:
            for batch in waiting:
                async with connection.transaction():
                    await batch.write(connection)

    await asyncio.gather(*(write() for _ in range(connections)))
    elapsed_s, cpu_s = time.perf_counter() - started_s, sum(os.times()[:2]) - cpu_before_s
    await pool.close()
    return Limit(name, accounts, elapsed_s, cpu_s * 1000 / accounts)


async def _prepare(
    connection: "asyncpg.Connection[asyncpg.Record]", source: str, tenant: str
) -> int:
    await connection.execute(
        "INSERT INTO business.tenants (tenant_id, name, currency) VALUES ($1, $1, 'USD')", tenant
    )
    await connection.execute(
        "INSERT INTO customer.customers (tenant_id, customer_id, name)"
        " SELECT $2, customer_id, name FROM customer.customers WHERE tenant_id = $1",
        source,
        tenant,
    )
    await connection.execute(_ACCOUNTS, source, tenant)
    revenue_id = await connection.fetchval(
        "INSERT INTO billing.ledger_accounts (tenant_id, kind, currency)"
        " VALUES ($1, 'revenue', 'USD') RETURNING ledger_account_id",
        tenant,
    )
    return int(revenue_id)


class _Batch:
    """The rows of one transaction, as columns."""

    def __init__(
        self, tenant: str, revenue_id: int, number: int, rows: Sequence[asyncpg.Record]
    ) -> None:
        self.tenant = tenant
        self.revenue_id = revenue_id
        self.number = number
        self.events: Sequence[asyncpg.Record] = ()
        self._columns = {name: [row[name] for row in rows] for name in rows[0].keys()}  # noqa: SIM118 - a Record iterates over values

    async def write(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Write sides, transfers, bills, dates and outbox rows: five statements."""
        column, tenant = self._columns, self.tenant
        sides = await connection.fetch(_SIDES, tenant, column["account_id"])
        posted = await connection.fetch(
            _TRANSFERS,
            tenant,
            self.revenue_id,
            column["account_id"],
            column["period_start"],
            [side[0] for side in sides],
            column["amount_minor"],
            column["currency"],
        )
        await connection.execute(
            _BILLS,
            tenant,
            column["account_id"],
            column["period_start"],
            column["period_end"],
            column["amount_minor"],
            column["currency"],
            [transfer[0] for transfer in posted],
            column["next_attempt_at"],
        )
        await connection.execute(_DATES, tenant, column["account_id"], column["rebilling_date"])
        ids = [f"{tenant}-{self.number}-{place}" for place in range(len(self.events))]
        names = ("event_type", "route_kind", "route_name", "dedupe_key", "body")
        events = [[event[name] for event in self.events] for name in names]
        await connection.execute(_EVENTS, tenant, ids, *events)
