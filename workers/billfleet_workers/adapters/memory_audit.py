"""The audit trail in memory, for tests and for users of the handlers."""

from collections.abc import Sequence
from datetime import datetime

from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.ports.audit import AuditEntry


class MemoryAuditTrail:
    """Entries by tenant, time and reference."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: dict[tuple[str, datetime, str], AuditEntry] = {}

    async def put(self, entries: Sequence[AuditEntry]) -> None:
        """Keep them."""
        self._entries |= {(one.tenant, one.at, one.reference): one for one in entries}

    async def latest(self, tenant: str, *, since: datetime, limit: int) -> Sequence[AuditEntry]:
        """Newest first."""
        mine = [
            entry
            for entry in self._entries.values()
            if entry.tenant == tenant and entry.at >= since and entry.expires_at > self._clock.now()
        ]
        return sorted(mine, key=lambda one: (one.at, one.reference), reverse=True)[:limit]
