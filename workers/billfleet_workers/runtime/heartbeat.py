"""The heartbeat: visibility and dedupe lease, extended together while handlers run.

One timer per queue serves everything in flight on it, in batch. A handler is cancelled when its
lease turns out to be lost, for somebody else does that work now, and when it is past its deadline.
"""

import asyncio
from collections.abc import Iterable, Sequence

import structlog

from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.in_flight import Delivery
from billfleet_workers.runtime.policy import DeliveryPolicy, deadline_of
from billfleet_workers.runtime.ports.dedupe import DedupeStore, Held
from billfleet_workers.runtime.ports.metrics import Metrics
from billfleet_workers.runtime.ports.queue import Hiding, Queue

TICKS_PER_LEASE = 6
EXTEND_AFTER = 1 / 3


class Heartbeat:
    """Keeps what one queue has in flight from being handed to somebody else."""

    def __init__(
        self,
        queue: Queue,
        dedupe: DedupeStore,
        policy: DeliveryPolicy,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._queue = queue
        self._dedupe = dedupe
        self._policy = policy
        self._clock = clock
        self._metrics = metrics
        self._watched: dict[int, Delivery] = {}
        self._log = structlog.get_logger("billfleet.heartbeat")

    @property
    def watched(self) -> Sequence[Delivery]:
        """What is in flight now."""
        return list(self._watched.values())

    def watch(self, deliveries: Iterable[Delivery]) -> None:
        """Begin to extend these."""
        self._watched.update((id(delivery), delivery) for delivery in deliveries)

    def forget(self, deliveries: Iterable[Delivery]) -> None:
        """Stop extending these."""
        for delivery in deliveries:
            self._watched.pop(id(delivery), None)

    async def run(self) -> None:
        """Run for ever: look a few times per lease, extend what has used a third of it."""
        while True:
            await self._clock.sleep(self._policy.lease_s / TICKS_PER_LEASE)
            await self.beat()

    async def beat(self) -> None:
        """Extend what is due for it, once."""
        now_s = self._clock.monotonic()
        self._cancel_overdue(now_s)
        due = [delivery for delivery in self._watched.values() if self._is_due(delivery, now_s)]
        if not due:
            return
        try:
            await asyncio.gather(self._extend_visibility(due), self._extend_leases(due))
        except Unavailable as error:
            # The next beat tries again; a third of the lease is still left by then.
            self._log.warning("heartbeat_failed", queue=self._queue.name, reason=error.reason)
            return
        for delivery in due:
            delivery.extended_at_s = now_s
        self._metrics.count("heartbeats", len(due), queue=self._queue.name)

    def _cancel_overdue(self, now_s: float) -> None:
        """One look at all of them costs less than a timer for each."""
        for delivery in self._watched.values():
            task = delivery.task
            if task is None or task.done() or delivery.is_overdue:
                continue
            if _age_s(delivery, now_s) >= deadline_of(delivery.type, self._policy):
                delivery.is_overdue = True
                task.cancel()

    def _is_due(self, delivery: Delivery, now_s: float) -> bool:
        age_s = _age_s(delivery, now_s)
        return (
            now_s - delivery.extended_at_s >= self._policy.lease_s * EXTEND_AFTER
            # A handler that does not end when it is cancelled loses its message after all.
            and age_s < deadline_of(delivery.type, self._policy) + self._policy.lease_s
        )

    async def _extend_visibility(self, due: Sequence[Delivery]) -> None:
        failures = await self._queue.hide(
            [Hiding(d.received.receipt_handle, self._policy.visibility_timeout_s) for d in due]
        )
        for delivery, failure in zip(due, failures, strict=True):
            if failure is not None:
                self._log.warning(
                    "visibility_not_extended",
                    queue=self._queue.name,
                    message_id=delivery.received.message_id,
                    code=failure.code,
                    reason=failure.reason,
                )

    async def _extend_leases(self, due: Sequence[Delivery]) -> None:
        claimed = [delivery for delivery in due if delivery.claimed]
        if not claimed:
            return
        answers = await self._dedupe.extend(
            [Held(d.key, d.token) for d in claimed], self._policy.lease_s
        )
        for delivery, still_ours in zip(claimed, answers, strict=True):
            # What has its result is beyond cancelling, and its completion is fenced.
            if not still_ours and delivery.result is None and not _has_ended(delivery):
                self._lose(delivery)

    def _lose(self, delivery: Delivery) -> None:
        delivery.lease_lost = True
        if delivery.task is not None:
            delivery.task.cancel()
        self._metrics.count("leases_lost", queue=self._queue.name)
        self._log.warning(
            "lease_lost", queue=self._queue.name, message_id=delivery.received.message_id
        )


def _has_ended(delivery: Delivery) -> bool:
    return delivery.task is not None and delivery.task.done()


def _age_s(delivery: Delivery, now_s: float) -> float:
    """How long its handler has run. Waiting for its turn is not the message's fault."""
    return now_s - delivery.started_at_s if delivery.started_at_s is not None else 0.0
