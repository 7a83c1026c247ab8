"""The outbox relay: what was committed leaves, in order of writing, at least once.

A worker without a queue: the fleet runs it like the others. It takes rows that no other relay
holds, publishes them, and marks as sent what was accepted, all inside one transaction: if the
lights go out after publishing, the rows are published again, and dedupe turns the second away.
A row that is refused stays, is logged, and is passed over while others go on.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from billfleet_db import Database, outbox
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import DeliveryError
from billfleet_workers.runtime.ports.metrics import Metrics
from billfleet_workers.runtime.ports.publisher import Letter, Publisher
from billfleet_workers.runtime.ports.queue import EntryFailure

BATCH_MAX = 200
RETRY_FIRST_S = 0.5
RETRY_CAP_S = 15.0


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of the relay did."""

    taken: int
    sent: int


class Relay:
    """Publishes the outbox until drained."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        clock: Clock,
        metrics: Metrics,
        *,
        poll_s: float = 0.25,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._clock = clock
        self._metrics = metrics
        self._poll_s = poll_s
        self._draining = asyncio.Event()
        self._log = structlog.get_logger("billfleet.relay")

    def drain(self) -> None:
        """Stop after the round that is under way."""
        self._draining.set()

    async def run(self) -> None:
        """Publish until drained; an outage is waited out."""
        retry_s = RETRY_FIRST_S
        while not self._draining.is_set():
            try:
                done = await self.publish_once()
            except DeliveryError as error:
                self._log.warning("relay_waits", reason=error.reason, retry_in_s=retry_s)
                await self._pause(retry_s)
                retry_s = min(retry_s * 2, RETRY_CAP_S)
                continue
            retry_s = RETRY_FIRST_S
            if done.sent < BATCH_MAX:
                await self._pause(self._poll_s)

    async def publish_once(self) -> Round:
        """One round: take, publish, mark. Returns how many were taken and how many were sent."""
        async with transaction(self._database) as connection:
            rows = await outbox.take(connection, BATCH_MAX)
            if not rows:
                return Round(0, 0)
            answers = await self._publisher.publish([_letter(row) for row in rows])
            accepted = [
                row.outbox_id for row, failure in zip(rows, answers, strict=True) if failure is None
            ]
            if accepted:
                await outbox.mark_sent(connection, accepted, self._clock.now())
            refused = [
                (row, failure)
                for row, failure in zip(rows, answers, strict=True)
                if failure is not None
            ]
            if refused:
                await outbox.postpone(
                    connection, [(row.outbox_id, failure.reason) for row, failure in refused]
                )
        self._account(rows, refused)
        return Round(len(rows), len(accepted))

    def _account(
        self,
        rows: Sequence[outbox.OutboxRow],
        refused: Sequence[tuple[outbox.OutboxRow, EntryFailure]],
    ) -> None:
        for row, failure in refused:
            self._metrics.count("outbox_failures", route=row.route_name)
            self._log.error(
                "outbox_refused",
                id=row.event_id,
                tenant=row.tenant_id,
                type=row.event_type,
                route=row.route_name,
                code=failure.code,
                reason=failure.reason,
            )
        self._metrics.count("outbox_published", len(rows) - len(refused), route="all")

    async def _pause(self, seconds: float) -> None:
        pause = asyncio.ensure_future(self._clock.sleep(seconds))
        stop = asyncio.ensure_future(self._draining.wait())
        try:
            await asyncio.wait((pause, stop), return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
            stop.cancel()


def _letter(row: outbox.OutboxRow) -> Letter:
    return Letter(
        event_id=row.event_id,
        event_type=row.event_type,
        tenant=row.tenant_id,
        body=row.body,
        route_kind=row.route_kind,
        route_name=row.route_name,
        group_id=row.group_id,
    )
