"""The transaction view on DynamoDB: the table `<stack>-loyalty-transactions`.

The view's worker and its rebuild use it through `runtime.ports.transaction_view`. It writes and
reads in the largest batches that DynamoDB takes and asks again for what was left over. What an item
looks like is `view_items`' matter.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.aws_errors import Refused, aws_call
from billfleet_workers.adapters.partiql import all_of
from billfleet_workers.adapters.view_items import KEY, Item, item_of, stored_key
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.transaction_view import (
    Difference,
    Key,
    StoredKey,
    ViewEntry,
)

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

WRITES_MAX = 25
READS_MAX = 100
ROUNDS_MAX = 6
FIRST_PAUSE_S = 0.05


class DynamoTransactionView:
    """The table of one stack. It owns its connections."""

    def __init__(self, client: "DynamoDBClient", *, stack: str, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._table = f"{stack}-loyalty-transactions"
        self.dependency = f"DynamoDB table {self._table}"

    @classmethod
    async def open(
        cls, clients: AwsClients, *, stack: str, clock: Clock, pool_size: int = 8
    ) -> Self:
        """Make the client. Nothing is asked of DynamoDB before the first call."""
        return cls(await clients.open_dynamodb(pool_size=pool_size), stack=stack, clock=clock)

    async def put(self, entries: Sequence[ViewEntry]) -> None:
        """Write the items, whatever was there; one call must not name a key twice."""
        items = {entry.key: item_of(entry) for entry in entries}
        await self._write([{"PutRequest": {"Item": item}} for item in items.values()])

    async def remove(self, keys: Sequence[StoredKey]) -> None:
        """Delete items; those that are gone already don't matter."""
        texts = dict.fromkeys(key.text for key in keys)
        await self._write([{"DeleteRequest": {"Key": {KEY: {"S": text}}}} for text in texts])

    async def differing(self, entries: Sequence[ViewEntry]) -> Mapping[Key, Difference]:
        """Compare whole items, attribute by attribute."""
        wanted = {entry.key: item_of(entry) for entry in entries}
        keys = [{KEY: item[KEY]} for item in wanted.values()]
        parts = await all_of(
            self._read(keys[n : n + READS_MAX]) for n in range(0, len(keys), READS_MAX)
        )
        found = {item[KEY]["S"]: item for part in parts for item in part}
        differences: dict[Key, Difference] = {}
        for key, item in wanted.items():
            there = found.get(item[KEY]["S"])
            if there is None:
                differences[key] = "missing"
            elif there != item:
                differences[key] = "different"
        return differences

    async def stored(self) -> AsyncIterator[Sequence[StoredKey]]:
        """Read the whole table, its keys and expiries only."""
        start: Mapping[str, Any] = {}
        while True:
            answer = await self._call(
                "scan",
                TableName=self._table,
                ProjectionExpression=f"{KEY}, ExpiresAt",
                ConsistentRead=True,
                **({"ExclusiveStartKey": start} if start else {}),
            )
            yield [stored_key(item) for item in answer.get("Items", ())]
            start = answer.get("LastEvaluatedKey") or {}
            if not start:
                return

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _write(self, requests: Sequence[Mapping[str, Any]]) -> None:
        chunks = [requests[n : n + WRITES_MAX] for n in range(0, len(requests), WRITES_MAX)]
        await all_of(self._write_chunk(chunk) for chunk in chunks)

    async def _write_chunk(self, requests: Sequence[Mapping[str, Any]]) -> None:
        waiting: Sequence[Mapping[str, Any]] = requests
        for turn in range(ROUNDS_MAX):
            await self._pause(turn)
            answer = await self._call("batch_write_item", RequestItems={self._table: waiting})
            waiting = (answer.get("UnprocessedItems") or {}).get(self._table, ())
            if not waiting:
                return
        raise Unavailable(self.dependency, f"{len(waiting)} items stayed unwritten")

    async def _read(self, keys: Sequence[Mapping[str, Any]]) -> list[Item]:
        found: list[Item] = []
        waiting: Sequence[Mapping[str, Any]] = keys
        for turn in range(ROUNDS_MAX):
            await self._pause(turn)
            request = {self._table: {"Keys": waiting, "ConsistentRead": True}}
            answer = await self._call("batch_get_item", RequestItems=request)
            found += answer["Responses"].get(self._table, ())
            waiting = (answer.get("UnprocessedKeys") or {}).get(self._table, {}).get("Keys", ())
            if not waiting:
                return found
        raise Unavailable(self.dependency, f"{len(waiting)} items stayed unread")

    async def _pause(self, turn: int) -> None:
        if turn:
            await self._clock.sleep(FIRST_PAUSE_S * 2 ** (turn - 1))

    async def _call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        try:
            async with aws_call(self.dependency):
                answer: Mapping[str, Any] = await getattr(self._client, operation)(**parameters)
                return answer
        except Refused as refusal:
            raise Unavailable(self.dependency, str(refusal)) from refusal
