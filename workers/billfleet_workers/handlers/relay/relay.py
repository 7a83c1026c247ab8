"""The outbox relay: what was committed leaves, in order of writing, at least once.

A worker without a queue: the fleet runs it like the others. It takes rows that no other relay
holds, publishes them, and marks as sent what was accepted, all inside one transaction: if the
lights go out after publishing, the rows are published again, and dedupe turns the second away.
A row that is refused is put aside with its reason, and others pass it by; on a FIFO queue those of
its own group wait. Sent rows stay a week for whoever asks what was announced, and then go.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from billfleet_db import Database, outbox
from billfleet_db.announcements import Announcements
from billfleet_workers.handlers.unit_of_work import database_errors, transaction
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import DeliveryError
from billfleet_workers.runtime.ports.metrics import Metrics
from billfleet_workers.runtime.ports.publisher import Letter, Publisher
from billfleet_workers.runtime.ports.queue import EntryFailure

BATCH_MAX = 200
LOOK_EVERY_S = 1.0
RETRY_FIRST_S = 0.5
RETRY_CAP_S = 15.0
REPORT_EVERY_S = 10.0
KEPT_AFTER_SENDING = timedelta(days=7)
PRUNED_AT_ONCE_MAX = 10_000
PRUNE_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of the relay did."""

    taken: int
    sent: int
    has_successors: bool = False
    """Rows of FIFO queues left, so the next ones of their groups may."""


class Relay:
    """Publishes the outbox until drained."""

    def __init__(
        self, database: Database, publisher: Publisher, clock: Clock, metrics: Metrics
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._clock = clock
        self._metrics = metrics
        self._draining = asyncio.Event()
        self._retry_s = RETRY_FIRST_S
        self._reported_at_s = -REPORT_EVERY_S
        self._prune_at_s = clock.monotonic()
        self._log = structlog.get_logger("billfleet.relay")

    def drain(self) -> None:
        """Stop after the round that is under way."""
        self._draining.set()

    async def run(self) -> None:
        """Publish until drained; an outage is waited out."""
        while not self._draining.is_set():
            try:
                with database_errors():
                    async with self._database.listening(outbox.CHANNEL) as news:
                        await self._publish_until_drained(news)
            except DeliveryError as error:
                self._log.warning(
                    "relay_waits", reason=error.reason, retry_in_s=round(self._retry_s, 1)
                )
                await self._unless_drained(self._clock.sleep(self._retry_s))
                self._retry_s = min(self._retry_s * 2, RETRY_CAP_S)

    async def _publish_until_drained(self, news: Announcements) -> None:
        while not self._draining.is_set():
            done = await self.publish_once()
            self._retry_s = RETRY_FIRST_S
            await self._report_depth()
            if self._clock.monotonic() >= self._prune_at_s:
                await self._prune()
            if done.taken < BATCH_MAX and not done.has_successors:
                # Announced or not, it looks again: an announcement can be lost, and what was
                # put aside comes up again without one.
                await self._unless_drained(news.wait(LOOK_EVERY_S))

    async def _prune(self) -> None:
        """Delete a part of what was sent long ago; the next part follows the next round."""
        before = self._clock.now() - KEPT_AFTER_SENDING
        async with transaction(self._database) as connection:
            gone = await outbox.prune(connection, before, PRUNED_AT_ONCE_MAX)
        if gone < PRUNED_AT_ONCE_MAX:
            self._prune_at_s = self._clock.monotonic() + PRUNE_EVERY_S

    async def publish_once(self) -> Round:
        """One round: take, publish, mark what was accepted, put aside what was refused."""
        async with transaction(self._database) as connection:
            rows = await outbox.take(connection, BATCH_MAX)
            if not rows:
                return Round(0, 0)
            answers = await self._publisher.publish([_letter(row) for row in rows])
            answered = list(zip(rows, answers, strict=True))
            accepted = [row.outbox_id for row, failure in answered if failure is None]
            refused = [(row, failure) for row, failure in answered if failure is not None]
            await outbox.mark_sent(connection, accepted, self._clock.now())
            await outbox.postpone(
                connection, {row.outbox_id: failure.reason for row, failure in refused}
            )
        self._account(rows, refused)
        sent_in_order = any(
            failure is None and row.route_name.endswith(outbox.FIFO) for row, failure in answered
        )
        return Round(len(rows), len(accepted), sent_in_order)

    def _account(
        self,
        rows: Sequence[outbox.OutboxRow],
        refused: Sequence[tuple[outbox.OutboxRow, EntryFailure]],
    ) -> None:
        refused_ids = {row.outbox_id for row, _ in refused}
        for row in rows:
            if row.outbox_id not in refused_ids:
                self._metrics.count("outbox_published", route=row.route_name)
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

    async def _report_depth(self) -> None:
        now_s = self._clock.monotonic()
        if now_s - self._reported_at_s < REPORT_EVERY_S:
            return
        self._reported_at_s = now_s
        async with transaction(self._database) as connection:
            backlog = await outbox.depth_and_age(connection)
        self._metrics.gauge("outbox_depth", backlog.depth)
        self._metrics.gauge("outbox_age_s", backlog.oldest_age_s)

    async def _unless_drained(self, wait: Awaitable[object]) -> None:
        """Wait, but not past the drain."""
        waiting = asyncio.ensure_future(wait)
        draining = asyncio.ensure_future(self._draining.wait())
        try:
            await asyncio.wait((waiting, draining), return_when=asyncio.FIRST_COMPLETED)
        finally:
            draining.cancel()
            if not waiting.done():
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
        if not waiting.cancelled():
            waiting.result()


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
