"""What the front door needs that is not the database: files, records of work, payment notices.

`billfleet gateway` brings the real ones, tests bring their own. The front door must not know S3's
or DynamoDB's clients, so this is all it sees of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from billfleet_contracts import PaymentReported


@dataclass(frozen=True, slots=True)
class WorkRecord:
    """What the fleet's dedupe store says of a piece of work."""

    state: Literal["working", "done"]
    at: datetime | None
    note: str


class WorkRecords(Protocol):
    """Asks what became of work that has left for its queue."""

    async def look(self, tenant: str, queue: str, dedupe_key: str) -> WorkRecord | None:
        """The record, or None where no worker has taken it up, or long ago.

        Raises:
            OSError: the store does not answer.
        """
        ...


class FileStore(Protocol):
    """Makes addresses that open one object for a short time."""

    async def address_to_read(
        self, key: str, *, expires_s: int, file_name: str | None, content_type: str
    ) -> str:
        """An address that downloads the object."""
        ...

    async def address_to_upload(
        self, key: str, *, expires_s: int, content_type: str, metadata: Mapping[str, str]
    ) -> str:
        """An address of the uploads bucket that takes one PUT with this type and metadata."""
        ...


class NoticeRefused(Exception):
    """A call that is not the payment gateway's, or too old: nothing of it is believed.

    If it happens to every call, compare BILLFLEET_STRIPE_WEBHOOK_SECRET and the machine's clock.
    """


class PaymentNotices(Protocol):
    """Reads what a payment gateway's webhook says."""

    def read(self, payload: bytes, signature: str, now: datetime) -> PaymentReported | None:
        """The report in it; None where it says nothing of a payment of ours.

        Raises:
            NoticeRefused: it is not to be believed.
        """
        ...

    def tenant_of(self, report: PaymentReported) -> str:
        """Whose payment it is."""
        ...
