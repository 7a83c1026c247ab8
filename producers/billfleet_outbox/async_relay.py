"""`AsyncRelay`: carries the outbox to SQS and SNS, over an async engine.

The twin of `Relay`, with the same rounds and the same guarantees.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from billfleet_outbox.rows import Backlog, OutboxRows, Round
from billfleet_outbox.tables import OutboxTables
from billfleet_producers import Producer, Report
from billfleet_producers.preparing import utc_now


class AsyncRelay:
    """Sends what waits, a round at a time; arguments as for `Relay`."""

    def __init__(
        self,
        engine: AsyncEngine,
        tables: OutboxTables,
        producer: Producer,
        *,
        round_max: int = 200,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._engine = engine
        self._rows = OutboxRows(tables)
        self._producer = producer
        self._round_max = round_max
        self._clock = clock

    async def send_once(self) -> Round:
        """One round; as `Relay.send_once`."""
        async with self._engine.connect() as connection:
            if not await connection.run_sync(self._rows.has_due, self._clock()):
                return Round()
        async with self._engine.begin() as connection:
            await connection.run_sync(self._rows.begin_turn)
            taken = await connection.run_sync(self._rows.take, self._round_max, self._clock())
            report = await self._producer.send_batch(taken.values()) if taken else Report((), ())
            return await connection.run_sync(self._rows.mark, report, self._clock())

    async def prune(self, before: datetime, count_max: int = 1000) -> int:
        """Delete some of the rows that were sent before a time; returns how many."""
        async with self._engine.begin() as connection:
            return await connection.run_sync(self._rows.prune, before, count_max)

    async def backlog(self) -> Backlog:
        """What waits."""
        async with self._engine.connect() as connection:
            return await connection.run_sync(self._rows.backlog)
