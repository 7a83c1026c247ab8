"""The port to the table in which front ends look loyalty transactions up.

The view's worker and its rebuild write through it. PostgreSQL's rows are what is true, and they
never change: an entry follows from its row alone, so that it may be put in any order and any number
of times. It decides nothing, and nobody decides anything from it (R69).
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

Difference = Literal["missing", "different"]
Key = tuple[str, str]
"""Tenant and transaction id."""


@dataclass(frozen=True, slots=True)
class ViewEntry:
    """One transaction as it is looked up; `facts` is what else there is to say."""

    tenant: str
    transaction_id: str
    card_id: str
    customer_id: str
    kind: str
    occurred_at: datetime
    expires_at: datetime
    quantity: int | None = None
    store_id: str | None = None
    facts: Mapping[str, str | int | bool] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """What it is found by."""
        return self.tenant, self.transaction_id


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key of the table and when its entry is forgotten; `key` is None if it is none of ours."""

    text: str
    key: Key | None
    expires_at: datetime | None


class TransactionView(Protocol):
    """The table of one stack."""

    async def put(self, entries: Sequence[ViewEntry]) -> None:
        """Write entries, whatever was there before.

        Raises:
            Unavailable: not all of them may be written; putting them again is safe.
            Misconfigured: the table or a permission is missing.
        """
        ...

    async def differing(self, entries: Sequence[ViewEntry]) -> Mapping[Key, Difference]:
        """Those of them that the table does not have exactly so, read consistently."""
        ...

    def stored(self) -> AsyncIterator[Sequence[StoredKey]]:
        """All keys of the table, page by page, in no order."""
        ...

    async def remove(self, keys: Sequence[StoredKey]) -> None:
        """Delete what lies under these keys."""
        ...
