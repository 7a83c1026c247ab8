"""A tenant with a ledger, an export worker, and a store in memory: for tests of exports.

Rows are written as the superuser, because the ledger lets nobody else invent them. Time stands
still unless a test moves it.
"""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import text

from billfleet_contracts import ExportFormat, ExportRequested, decode, wrap
from billfleet_db import Database, exports
from billfleet_db.exports import Export
from billfleet_workers.adapters.memory_objects import MemoryObjectStore, MemoryUpload, StoredObject
from billfleet_workers.handlers.export import ExportHandler, ExportPolicy, Workshop
from billfleet_workers.runtime.clock import Clock, ManualClock
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.ports.objects import PART_BYTES_MIN, ObjectStore
from rebill_world import CountingMetrics

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TENANT = "acme"
EXPORT_ID = "4f0c2a6e-9d3b-4b8e-8a51-2f6d1c7e9a10"

SEED = """
    INSERT INTO business.tenants (tenant_id, name, currency) VALUES
      ('acme', 'Acme Telecom', 'EUR'), ('bolt', 'Bolt', 'EUR');
    INSERT INTO customer.customers (tenant_id, customer_id, name, email) VALUES
      ('acme', 'c-1', '=HYPERLINK("http://evil","click")', 'a@example.com'),
      ('bolt', 'c-1', 'Bolt', null);
    INSERT INTO billing.accounts (tenant_id, account_id, customer_id, amount_minor, currency,
                                  anchor_day, time_zone, rebilling_date) VALUES
      ('acme', 'acc-1', 'c-1', 2990, 'EUR', 1, 'Europe/Berlin', '2026-12-01'),
      ('bolt', 'acc-9', 'c-1', 2990, 'EUR', 1, 'UTC', '2026-12-01');
    INSERT INTO billing.ledger_accounts (tenant_id, kind, account_id, currency) VALUES
      ('acme', 'receivable', 'acc-1', 'EUR'), ('acme', 'revenue', null, 'EUR'),
      ('bolt', 'receivable', 'acc-9', 'EUR'), ('bolt', 'revenue', null, 'EUR')
"""
POST = """
    INSERT INTO billing.transfers (tenant_id, transfer_key, kind, account_id, period_start,
                                   debit_id, credit_id, amount_minor, currency, reason, work_id,
                                   posted_at)
    SELECT r.tenant_id, CAST(:prefix AS text) || n, 'payment', r.account_id, '2026-01-01',
           i.ledger_account_id, r.ledger_account_id, 100 + n, 'EUR', CAST(:reason AS text), 'test',
           CAST('2026-01-01 00:00+00' AS timestamptz) + n * interval '1 minute'
    FROM generate_series(1, :count) n, billing.ledger_accounts r, billing.ledger_accounts i
    WHERE r.tenant_id = :tenant_id AND r.kind = 'receivable'
      AND i.tenant_id = :tenant_id AND i.kind = 'revenue'
"""


class HeldStore(MemoryObjectStore):
    """The same objects, but the first part of every upload waits for the test."""

    def __init__(self, other: MemoryObjectStore) -> None:
        super().__init__(other.clock)
        self.objects, self.uploads = other.objects, other.uploads
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    async def begin_upload(
        self, key: str, *, content_type: str, metadata: Mapping[str, str] | None = None
    ) -> MemoryUpload:
        """An upload that waits."""
        begun = await super().begin_upload(key, content_type=content_type, metadata=metadata)
        return _HeldUpload(self, begun)


class _HeldUpload(MemoryUpload):
    def __init__(self, store: HeldStore, begun: MemoryUpload) -> None:
        super().__init__(store, begun.key, begun.number)
        self._held = store

    async def put_part(self, number: int, body: bytes | bytearray) -> None:
        self._held.reached.set()
        await self._held.go_on.wait()
        await super().put_part(number, body)


class ExportWorld:
    """One database, one clock, one store, and a worker over them."""

    def __init__(
        self, database: Database, superuser: Database, objects: ObjectStore | None = None
    ) -> None:
        self.database = database
        self.superuser = superuser
        self.clock = ManualClock(NOW)
        self.metrics = CountingMetrics()
        self.memory = MemoryObjectStore(self.clock)
        self.objects = objects or self.memory
        self.handler = self.make_handler()

    def make_handler(
        self,
        *,
        per_tenant_max: int = 2,
        objects: ObjectStore | None = None,
        clock: Clock | None = None,
    ) -> ExportHandler:
        """Another worker of the same fleet."""
        objects, clock = objects or self.objects, clock or self.clock
        shop = Workshop(self.database, objects, clock, part_bytes=PART_BYTES_MIN)
        return ExportHandler(shop, self.metrics, ExportPolicy(per_tenant_max))

    async def seed(self) -> None:
        """Two tenants with an account each."""
        async with self.superuser.transaction() as connection:
            for statement in SEED.split(";"):
                await connection.execute(text(statement))

    async def post(
        self, count: int, *, tenant: str = TENANT, reason: str | None = None, prefix: str = "k"
    ) -> None:
        """Append transfers to the ledger."""
        values = {"count": count, "tenant_id": tenant, "reason": reason, "prefix": prefix}
        async with self.superuser.transaction() as connection:
            await connection.execute(text(POST), values)

    def request(
        self,
        form: ExportFormat = "csv",
        dataset: str = "ledger",
        *,
        export_id: str = EXPORT_ID,
        filters: Mapping[str, str] | None = None,
        columns: Sequence[str] = (),
        locale: str = "en-US",
        notify_contact_id: str | None = "owner",
    ) -> ExportRequested:
        """A request."""
        return ExportRequested(
            export_id=export_id,
            dataset=dataset,
            format=form,
            filters=dict(filters or {}),
            columns=tuple(columns),
            locale=locale,
            notify_contact_id=notify_contact_id,
        )

    def work(self, event: ExportRequested, *, tenant: str = TENANT) -> Work:
        """A delivery of the request."""
        envelope = wrap(event, tenant=tenant, source="/test", now=self.clock.now())
        return Work(envelope, "m-1", 1, self.clock.now(), str(uuid.uuid4()))

    async def run(
        self,
        event: ExportRequested,
        *,
        tenant: str = TENANT,
        handler: ExportHandler | None = None,
    ) -> Finished:
        """Let a worker handle the request."""
        return await (handler or self.handler).handle(self.work(event, tenant=tenant))

    async def export(self, export_id: str = EXPORT_ID, *, tenant: str = TENANT) -> Export:
        """The export as it is recorded."""
        async with self.database.transaction() as connection:
            found = await exports.find(
                connection, tenant, uuid.UUID(export_id), now=self.clock.now()
            )
        assert found is not None
        return found

    def only_object(self) -> StoredObject:
        """The one file in memory; its manifest lies beside it."""
        keys = [key for key in self.memory.objects if not key.endswith(".manifest.json")]
        (key,) = keys
        return self.memory.objects[key]

    async def facts(self) -> list[object]:
        """What left through the outbox, in order."""
        async with self.superuser.transaction() as connection:
            rows = await connection.execute(
                text("SELECT body FROM fleet.outbox ORDER BY outbox_id")
            )
            return [decode(row.body).data for row in rows]
