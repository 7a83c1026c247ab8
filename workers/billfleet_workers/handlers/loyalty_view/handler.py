"""Brings transactions into the table that front ends look them up in.

The runtime calls it with messages that the loyalty worker's outbox sent. It reads the rows and puts
their entries; what was refused is told to the audit trail. Rows are never changed, so that order
and repeats make no difference. It knows neither the queue nor DynamoDB.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from billfleet_contracts import ProjectTransactions
from billfleet_db import Database, loyalty
from billfleet_workers.handlers.loyalty_view.entries import audit_entry_of, entry_of
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Permanent
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.ports.audit import AuditEntry, AuditTrail
from billfleet_workers.runtime.ports.metrics import Metrics
from billfleet_workers.runtime.ports.transaction_view import TransactionView, ViewEntry


class LoyaltyViewHandler:
    """Copies rows to the view, so many messages at once."""

    batch_max = 20

    def __init__(
        self,
        database: Database,
        view: TransactionView,
        audit: AuditTrail,
        clock: Clock,
        metrics: Metrics,
        *,
        retain: timedelta,
        audit_retain: timedelta,
    ) -> None:
        self._database = database
        self._view = view
        self._clock = clock
        self._metrics = metrics
        self._retain = retain
        self._audit = audit
        self._audit_retain = audit_retain

    async def handle_batch(self, works: Sequence[Work]) -> Sequence[Finished]:
        """Bring the transactions of some messages: one read a tenant, and one round of writes.

        Raises:
            Unavailable: PostgreSQL or DynamoDB can't be reached.
        """
        ids: dict[str, set[str]] = defaultdict(set)
        for work in works:
            ids[work.envelope.tenant].update(_asked(work))
        entries: list[ViewEntry] = []
        refused: list[AuditEntry] = []
        since = self._clock.now() - self._retain
        for tenant, wanted in sorted(ids.items()):
            async with transaction(self._database) as connection:
                await loyalty.see_tenant(connection, tenant)
                rows = await loyalty.viewing.named(connection, tenant, wanted, since=since)
            entries += [entry_of(row, self._retain) for row in rows]
            told = (audit_entry_of(row, self._audit_retain) for row in rows)
            refused += [entry for entry in told if entry is not None]
        await self._view.put(entries)
        await self._audit.put(refused)
        self._metrics.count("loyalty_view_entries", len(entries))
        there = {entry.key for entry in entries}
        return [_finished(work, there) for work in works]


def _asked(work: Work) -> Sequence[str]:
    event = work.envelope.data
    if not isinstance(event, ProjectTransactions):
        raise Permanent(f"the loyalty view does not handle {work.envelope.type}")
    return event.transaction_ids


def _finished(work: Work, there: set[tuple[str, str]]) -> Finished:
    asked = set(_asked(work))
    found = sum((work.envelope.tenant, one) in there for one in asked)
    # What is not there was recorded longer ago than entries are kept.
    return Finished({"entries": found, "too_old": len(asked) - found})
