"""Makes the transaction view anew from PostgreSQL: afterwards the two are the same (R69).

`billfleet loyalty rebuild-view` runs it through `main`. First every row is compared with its entry
and written where they differ; then every key of the table is looked up, and what PostgreSQL does
not have is deleted. Live writers may go on beside it: a row that they add meanwhile is in
PostgreSQL before it is in the table. Entries past their expiry are the table's own to delete.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from billfleet_db import Database, loyalty
from billfleet_workers.handlers.loyalty_view.entries import entry_of
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.ports.transaction_view import StoredKey, TransactionView

PAGE_ROWS = 1000
EXAMPLES_MAX = 20


@dataclass(slots=True)
class RebuildReport:
    """How far it is and what it found: of `total` rows `compared`, then of entries `looked_up`."""

    total: int = 0
    compared: int = 0
    looked_up: int = 0
    differences: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    is_dry_run: bool = False

    def found(self, what: str, key: str) -> None:
        """Count a difference; the first few are kept by name."""
        self.differences[what] += 1
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(f"{key}: {what}")


async def rebuild(
    database: Database,
    view: TransactionView,
    clock: Clock,
    *,
    retain: timedelta,
    tenant: str | None = None,
    dry_run: bool = False,
    progress: Callable[[RebuildReport], None] = lambda _: None,
) -> RebuildReport:
    """Make the view equal to PostgreSQL, of one tenant or of all; or only count the differences.

    Raises:
        Unavailable: PostgreSQL or DynamoDB can't be reached. Run it again: it begins anew.
    """
    report = RebuildReport(is_dry_run=dry_run)
    rebuilding = _Rebuilding(database, view, clock.now(), retain, tenant, report, progress)
    await rebuilding.count()
    await rebuilding.bring_rows()
    await rebuilding.remove_strays()
    return report


@dataclass(frozen=True, slots=True)
class _Rebuilding:
    database: Database
    view: TransactionView
    now: datetime
    retain: timedelta
    tenant: str | None
    report: RebuildReport
    progress: Callable[[RebuildReport], None]

    @property
    def since(self) -> datetime:
        """Rows recorded before are not kept in the view."""
        return self.now - self.retain

    async def count(self) -> None:
        """How much there is to do."""
        async with transaction(self.database) as connection:
            await loyalty.see_tenant(connection, self.tenant or loyalty.ALL_TENANTS)
            self.report.total = await loyalty.viewing.count(
                connection, since=self.since, tenant_id=self.tenant
            )
        self.progress(self.report)

    async def bring_rows(self) -> None:
        """Write what is missing or different."""
        after = ("", "")
        while True:
            async with transaction(self.database) as connection:
                await loyalty.see_tenant(connection, self.tenant or loyalty.ALL_TENANTS)
                rows = await loyalty.viewing.page(
                    connection,
                    since=self.since,
                    tenant_id=self.tenant,
                    after=after,
                    limit=PAGE_ROWS,
                )
            await self._bring(rows)
            if len(rows) < PAGE_ROWS:
                return
            after = (rows[-1].tenant_id, rows[-1].transaction_id)

    async def _bring(self, rows: Sequence[loyalty.ViewedTransaction]) -> None:
        entries = [entry_of(row, self.retain) for row in rows]
        differing = await self.view.differing(entries)
        if not self.report.is_dry_run:
            await self.view.put([entry for entry in entries if entry.key in differing])
        for key, difference in sorted(differing.items()):
            self.report.found(difference, "/".join(key))
        self.report.compared += len(rows)
        self.progress(self.report)

    async def remove_strays(self) -> None:
        """Delete what PostgreSQL does not have."""
        async for keys in self.view.stored():
            mine = [key for key in keys if self._is_mine(key)]
            strays = await self._strays(mine)
            if not self.report.is_dry_run:
                await self.view.remove(strays)
            for key in strays:
                self.report.found("stray", key.text)
            self.report.looked_up += len(mine)
            self.progress(self.report)

    def _is_mine(self, stored: StoredKey) -> bool:
        if self.tenant is not None and not stored.text.startswith(f"{self.tenant}/"):
            return False
        return stored.expires_at is None or stored.expires_at > self.now

    async def _strays(self, keys: Sequence[StoredKey]) -> list[StoredKey]:
        async with transaction(self.database) as connection:
            await loyalty.see_tenant(connection, self.tenant or loyalty.ALL_TENANTS)
            known = await loyalty.viewing.known(
                connection, [one.key for one in keys if one.key is not None], since=self.since
            )
        return [one for one in keys if one.key not in known]
