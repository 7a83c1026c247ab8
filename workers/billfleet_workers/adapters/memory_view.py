"""The transaction view in memory, for tests and for users of the handlers.

It keeps the items that DynamoDB would, so that what differs there differs here.
"""

from collections.abc import AsyncIterator, Mapping, Sequence

from billfleet_workers.adapters.memory_faults import Faults
from billfleet_workers.adapters.view_items import KEY, Item, item_of, scoped, stored_key
from billfleet_workers.runtime.ports.transaction_view import (
    Difference,
    Key,
    StoredKey,
    ViewEntry,
)


class MemoryTransactionView:
    """Items by key; `faults` makes it unavailable."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.faults = Faults("the transaction view in memory")

    async def put(self, entries: Sequence[ViewEntry]) -> None:
        """Keep the items."""
        self.faults.before()
        for entry in entries:
            item = item_of(entry)
            self.items[str(item[KEY]["S"])] = item
        self.faults.after("put")

    async def remove(self, keys: Sequence[StoredKey]) -> None:
        """Forget the items."""
        self.faults.before()
        for key in keys:
            self.items.pop(key.text, None)

    async def differing(self, entries: Sequence[ViewEntry]) -> Mapping[Key, Difference]:
        """Compare whole items."""
        self.faults.before()
        differences: dict[Key, Difference] = {}
        for entry in entries:
            there = self.items.get(scoped(*entry.key))
            if there is None:
                differences[entry.key] = "missing"
            elif there != item_of(entry):
                differences[entry.key] = "different"
        return differences

    async def stored(self) -> AsyncIterator[Sequence[StoredKey]]:
        """All keys in one page."""
        self.faults.before()
        yield [stored_key(item) for item in self.items.values()]
