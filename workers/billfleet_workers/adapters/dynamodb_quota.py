"""The quota port on DynamoDB: each second has a few slots, and each slot has one owner.

A slot is an item that only one process can insert, worth several permits, so that a call is made
for some permits and not for each. An answer that is lost wastes a slot and never spends one twice.
Windows follow each process's own clock: clocks that differ by a part of a second can let two
windows' permits through within one.

Items: `pk` = `quota#<name>#<second>#<slot>`, `expires_at` (the table's TTL attribute).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from billfleet_workers.adapters.aws_errors import Refused, aws_call
from billfleet_workers.adapters.partiql import Statement, run_statements
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Unavailable

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

SLOTS_MAX = 5
KEPT_S = 3600

Insert = Callable[[str, int], Awaitable[bool]]
"""Inserts an item that expires at a time; False when somebody else has it."""


@dataclass(slots=True)
class _Window:
    """One name's present second: what is in hand, and which slots were not tried yet."""

    second: int = -1
    permits: int = 0
    untried: list[tuple[int, int]] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class SlotQuota:
    """Permits from slots; `insert` is what makes them exclusive."""

    def __init__(
        self,
        insert: Insert,
        rates: Mapping[str, int],
        clock: Clock,
        shuffle: Callable[[list[tuple[int, int]]], None],
    ) -> None:
        self._insert = insert
        self._rates = rates
        self._clock = clock
        self._shuffle = shuffle
        self._windows = {name: _Window() for name in rates}

    async def take(self, name: str) -> float:
        """Take one permit: 0.0 when it is ours, else after how many seconds to ask again."""
        window = self._windows.get(name)
        if window is None:
            return 0.0
        async with window.lock:
            return await self._take(name, window)

    async def _take(self, name: str, window: _Window) -> float:
        now_s = self._clock.now().timestamp()
        if int(now_s) != window.second:
            window.second, window.permits = int(now_s), 0
            window.untried = slots_of(self._rates[name])
            self._shuffle(window.untried)
        while window.permits == 0 and window.untried:
            slot, worth = window.untried.pop()
            key = f"quota#{name}#{window.second}#{slot}"
            if await self._insert(key, window.second + KEPT_S):
                window.permits = worth
        if window.permits == 0:
            return max(0.001, window.second + 1 - now_s)
        window.permits -= 1
        return 0.0


def slots_of(rate_per_s: int) -> list[tuple[int, int]]:
    """The slots of a second, each with its number of permits; together exactly the rate."""
    count = min(SLOTS_MAX, rate_per_s)
    worth, rest = divmod(rate_per_s, count)
    return [(slot, worth + (slot < rest)) for slot in range(count)]


class DynamoSlots:
    """Slots as items of the dedupe table."""

    def __init__(self, client: "DynamoDBClient", *, stack: str, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._table = f"{stack}-dedupe"
        self._dependency = f"DynamoDB table {self._table}"

    async def insert(self, key: str, expires_at_s: int) -> bool:
        """Insert the slot; False when another process has it."""
        statement = Statement(
            f"INSERT INTO \"{self._table}\" VALUE {{'pk': ?, 'expires_at': ?}}",
            ({"S": key}, {"N": str(expires_at_s)}),
        )
        [result] = await run_statements(
            [statement], self._execute, self._clock.sleep, self._dependency
        )
        return result.code is None

    async def _execute(self, statements: Any) -> Any:
        try:
            async with aws_call(self._dependency):
                answer = await self._client.batch_execute_statement(Statements=statements)
        except Refused as refusal:
            raise Unavailable(self._dependency, str(refusal)) from refusal
        return answer["Responses"]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
