"""Two tenants behind a front door, and a caller of each; what a test reads back.

The application runs in the test's own loop over the front door's login, so that row security
holds as in production. Time stands where the test sets it; the other ports are recordings.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import text

from billfleet_contracts import Earning, ProgrammeRules, Stamps
from billfleet_db import Database, api_keys, loyalty
from billfleet_db.api_keys import ApiKey
from billfleet_db.customers import Customer, upsert_customers
from billfleet_db.loyalty import RulesVersion
from billfleet_db.tenants import Tenant, ensure_tenant
from billfleet_gateway import SCOPES, Door, Options, WorkRecord, create_app, new_key

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

    async def rows(self, statement: str) -> list[dict[str, Any]]:
        """What a worker would read."""
        async with self.inside.transaction() as connection:
            found = await connection.execute(text(statement))
            return [dict(row) for row in found.mappings()]
