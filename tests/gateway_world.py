"""Two tenants behind a front door, and a caller of each; what a test reads back.

The application runs in the test's own loop over the front door's login, so that row security
holds as in production. Time stands where the test sets it; the other ports are recordings.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import Earning, ProgrammeRules, Stamps
from billfleet_db import Database, api_keys, deliveries, front_door, loyalty, outbox
from billfleet_db.api_keys import ApiKey
from billfleet_db.customers import Customer, upsert_customers
from billfleet_db.errors import DatabaseUnavailable
from billfleet_db.ledger import post_transfers
from billfleet_db.loyalty import RulesVersion
from billfleet_db.tenants import Tenant, ensure_tenant
from billfleet_gateway import SCOPES, Door, Options, WorkRecord, create_app, new_key
from ledger_examples import charge

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
TENANTS = ("acme", "bolt")


@dataclass
class Records:
    """What the dedupe store would say, by (tenant, queue, key)."""

    known: dict[tuple[str, str, str], WorkRecord] = field(default_factory=dict)
    is_away: bool = False

    async def look(self, tenant: str, queue: str, dedupe_key: str) -> WorkRecord | None:
        if self.is_away:
            raise ConnectionError("no answer")
        return self.known.get((tenant, queue, dedupe_key))


class Files:
    """Addresses that say what was asked for."""

    async def address_to_read(
        self, key: str, *, expires_s: int, file_name: str | None, content_type: str
    ) -> str:
        return f"https://files.test/{key}?for={expires_s}&as={file_name}&type={content_type}"

    async def address_to_upload(
        self, key: str, *, expires_s: int, content_type: str, metadata: Mapping[str, str]
    ) -> str:
        return f"https://uploads.test/{key}?for={expires_s}"


class _FailsOnce:
    """A database whose next commit is lost; then the true one is back."""

    def __init__(self, database: Database, door: Door) -> None:
        self._database = database
        self._door = door

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self._database.transaction() as connection:
            yield connection
            self._door.database = self._database
            raise DatabaseUnavailable("the connection was lost before the commit")


class FrontDoor:
    """One running front door and the keys that open it."""

    def __init__(self, inside: Database, outside: Database) -> None:
        self.inside = inside
        self.at = START
        self.at_s = 0.0
        self.records = Records()
        self.door = Door(
            outside,
            now=lambda: self.at,
            monotonic=lambda: self.at_s,
            sleep=self.sleep,
            options=Options(
                link_secrets=("s3cret" * 6,), requests_per_s=1000, burst=1000, strangers_per_s=100
            ),
            records=self.records,
            files=Files(),
        )
        self.keys: dict[str, str] = {}
        self.app = create_app(self.door)

    async def sleep(self, seconds: float) -> None:
        self.at_s += seconds
        await asyncio.sleep(0)

    def with_options(self, **changes: Any) -> None:
        """Open another door with other options."""
        self.door.options = replace(self.door.options, **changes)
        self.app = create_app(self.door)

    def later(self, by: timedelta) -> None:
        """Let time pass."""
        self.at += by
        self.at_s += by.total_seconds()

    async def seed(self) -> None:
        """Two tenants alike: a customer, an account, a programme and a card each."""
        async with self.inside.transaction() as connection:
            for tenant in TENANTS:
                await ensure_tenant(connection, Tenant(tenant, tenant.title(), "EUR"))
                await upsert_customers(connection, [Customer(tenant, "c1", "Ada", "a@x.test")])
                await connection.execute(
                    text("""
                        INSERT INTO billing.accounts (tenant_id, account_id, customer_id,
                          amount_minor, currency, anchor_day, time_zone, rebilling_date)
                        VALUES (:tenant, :account, 'c1', 2985, 'EUR', 1, 'UTC', '2026-04-01')
                    """),
                    {"tenant": tenant, "account": f"{tenant}-1"},
                )
                await self._open_card(connection, tenant)
                self.keys[tenant] = await self.add_key(connection, tenant, SCOPES)

    async def _open_card(self, connection: Any, tenant: str) -> None:
        rules = ProgrammeRules(
            earning=Earning(points=1, per_minor=100, currency="EUR"),
            stamps=Stamps(size=5, reward_id="coffee"),
        )
        await loyalty.see_tenant(connection, tenant)
        await loyalty.programmes.ensure(
            connection, tenant, "club", brand_id="north", name="Club", store_ids=["north-1"]
        )
        version = RulesVersion(1, START - timedelta(days=900), rules.model_dump(mode="json"))
        await loyalty.programmes.add_rules(connection, tenant, "club", version, work_id="test")
        await loyalty.cards.open_cards(connection, tenant, "club", {f"{tenant}-card": "c1"})

    async def add_key(
        self, connection: Any, tenant: str, scopes: Any, *, name: str = "test"
    ) -> str:
        made = new_key()
        key = ApiKey(made.key_id, tenant, name, made.secret_hash, list(scopes), None, None)
        await api_keys.add(connection, key, now=self.at)
        return made.shown

    def client(self, tenant: str | None = "acme", *, key: str | None = None) -> httpx.AsyncClient:
        """A caller of the tenant; None: a stranger."""
        shown = key or (self.keys[tenant] if tenant else None)
        headers = {"Authorization": f"Bearer {shown}"} if shown else {}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://door", headers=headers)

    async def break_next_commit(self) -> None:
        """Let the next transaction of the front door fail when all its work is done."""
        database = self.door.database
        self.door.database = _FailsOnce(database, self.door)  # type: ignore[assignment]

    async def prune_at(self, *, hours: int) -> None:
        """Forget first answers as the door does so much later."""
        async with self.door.database.transaction() as connection:
            before = self.at + timedelta(hours=hours) - self.door.options.first_answers_kept
            assert await front_door.prune_answers(connection, before, 100) == 1

    async def send_outbox(self) -> None:
        """What the relay does when the queue takes everything."""
        async with self.inside.transaction() as connection:
            rows = await outbox.take(connection, 1000)
            await outbox.mark_sent(connection, [row.outbox_id for row in rows], self.at)

    async def delivered(self, work_id: str, outcome: str, note: str, error_class: str) -> None:
        """What a worker's beat writes of a delivery."""
        ended = deliveries.Delivery(
            self.at, "analytics", "m", work_id, "t", "acme", "/s", "k", outcome, note,
            error_class, 1, 1.0, "w",
        )  # fmt: skip
        async with self.inside.transaction() as connection:
            await deliveries.add(connection, [ended])

    async def charge(self, tenant: str, *, months: int, work_id: str = "work-1") -> None:
        """Post so many months to the tenant's account."""
        rows = [
            charge(
                f"{tenant}-1",
                tenant_id=tenant,
                currency="EUR",
                period_start=date(2026, month, 1),
                work_id=work_id,
            )
            for month in range(1, months + 1)
        ]
        async with self.inside.transaction() as connection:
            await post_transfers(connection, rows)

    async def rows(self, statement: str) -> list[dict[str, Any]]:
        """What a worker would read."""
        async with self.inside.transaction() as connection:
            found = await connection.execute(text(statement))
            return [dict(row) for row in found.mappings()]
