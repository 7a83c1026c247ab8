"""The port to the audit trail: what the fleet refused, kept for a while and then forgotten.

The view's worker writes it, a command reads it. An entry follows from what it tells of, so that
writing it again changes nothing. It decides nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something of a tenant that somebody may ask about later."""

    tenant: str
    at: datetime
    event: str
    subject: str
    """What it happened to: a card."""
    reason: str
    reference: str
    """What it was about: a transaction. Together with the time it makes the entry unique."""
    work_id: str
    expires_at: datetime


class AuditTrail(Protocol):
    """The trail of one stack."""

    async def put(self, entries: Sequence[AuditEntry]) -> None:
        """Write entries; those that are there stay the same.

        Raises:
            Unavailable: not all of them may be written; putting them again is safe.
        """
        ...

    async def latest(self, tenant: str, *, since: datetime, limit: int) -> Sequence[AuditEntry]:
        """The tenant's latest entries, newest first."""
        ...
