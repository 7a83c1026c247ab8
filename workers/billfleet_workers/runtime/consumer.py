"""Receiving: long polls with a bounded number in flight, until told to drain.

The fleet runs one consumer per queue. A receiver takes a batch, has it delivered and settled, and
only then asks for more, so at most `receivers` times ten messages are in flight. Draining stops
asking, takes the answer of a poll that is still out and hands its messages back unstarted, lets
handlers finish until the deadline, and cancels what is left.
"""

import asyncio
from collections.abc import Sequence

import structlog

from billfleet_workers.runtime.delivery import deliver
from billfleet_workers.runtime.desk import Desk
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.queue import Hiding, Received
from billfleet_workers.runtime.supervision import supervise

BATCH_MAX = 10
RECEIVE_RETRY_FIRST_S = 0.5
RECEIVE_RETRY_CAP_S = 20.0
SETTLE_MARGIN_S = 3.0


class Consumer:
    """Receives from one queue and has its messages delivered."""

    def __init__(self, desk: Desk, *, receivers: int, poll_wait_s: float) -> None:
        self._desk = desk
        self._receivers = receivers
        self._poll_wait_s = poll_wait_s
        self._tasks: list[asyncio.Task[None]] = []
        self._side_tasks: list[asyncio.Task[None]] = []
        self._retry_s = RECEIVE_RETRY_FIRST_S
        self._last_answer_s = desk.clock.monotonic()
        self._log = structlog.get_logger("billfleet.consumer").bind(queue=desk.queue.name)

    @property
    def desk(self) -> Desk:
        """What this consumer delivers with."""
        return self._desk

    def start(self) -> None:
        """Begin to receive."""
        desk = self._desk
        for number in range(self._receivers):
            self._tasks.append(
                asyncio.create_task(
                    supervise(
                        f"receiver-{desk.queue.name}-{number}",
                        self._receive_until_drained,
                        clock=desk.clock,
                        metrics=desk.metrics,
                    )
                )
            )
        self._side_tasks.append(
            asyncio.create_task(
                supervise(
                    f"heartbeat-{desk.queue.name}",
                    desk.heartbeat.run,
                    clock=desk.clock,
                    metrics=desk.metrics,
                )
            )
        )

    async def drain(self, deadline_s: float) -> bool:
        """Stop and finish by the deadline. True: every received message is accounted for."""
        self._desk.draining.set()
        working_s = max(0.1, deadline_s - SETTLE_MARGIN_S)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=working_s)
            self._cancel_handlers()
            await asyncio.wait(self._tasks, timeout=SETTLE_MARGIN_S)
        for task in (*self._tasks, *self._side_tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._side_tasks, return_exceptions=True)
        self._log.info("drained", adds_up=self._desk.tally.adds_up, **self._desk.tally.as_dict())
        return self._desk.tally.adds_up

    def _cancel_handlers(self) -> None:
        for delivery in self._desk.heartbeat.watched:
            if delivery.task is not None and not delivery.task.done():
                delivery.task.cancel()

    async def _receive_until_drained(self) -> None:
        while await self._may_receive():
            batch = await self._receive()
            if not batch:
                continue
            self._desk.tally.received += len(batch)
            if self._desk.draining.is_set():
                await self._hand_back(batch)
            else:
                await self._deliver(batch)

    async def _may_receive(self) -> bool:
        """Wait for the gate; False once draining."""
        draining = self._desk.draining
        if draining.is_set():
            return False
        waits = [
            asyncio.ensure_future(self._desk.gate.wait_open()),
            asyncio.ensure_future(draining.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return not draining.is_set()

    async def _receive(self) -> Sequence[Received]:
        desk = self._desk
        started_s = desk.clock.monotonic()
        try:
            batch = await desk.queue.receive(
                limit=BATCH_MAX,
                wait_s=self._poll_wait_s,
                visibility_timeout_s=desk.policy.visibility_timeout_s,
            )
        except Unavailable as error:
            desk.metrics.count("receive_failures", queue=desk.queue.name)
            self._log.warning("receive_failed", reason=error.reason, retry_in_s=self._retry_s)
            await desk.clock.sleep(self._retry_s)
            self._retry_s = min(self._retry_s * 2, RECEIVE_RETRY_CAP_S)
            return ()
        self._retry_s = RECEIVE_RETRY_FIRST_S
        now_s = desk.clock.monotonic()
        desk.metrics.timing("receive_ms", (now_s - started_s) * 1000, queue=desk.queue.name)
        desk.metrics.gauge("last_poll_age_s", now_s - self._last_answer_s, queue=desk.queue.name)
        self._last_answer_s = now_s
        if batch:
            desk.metrics.count("messages_received", len(batch), queue=desk.queue.name)
        return batch

    async def _deliver(self, batch: Sequence[Received]) -> None:
        desk = self._desk
        before = desk.tally.received - desk.tally.accounted
        desk.metrics.gauge("in_flight", before, queue=desk.queue.name)
        try:
            await deliver(batch, desk)
        except BaseException:
            # Whatever it was, these messages are still in the queue and come back by themselves.
            desk.tally.abandoned += len(batch)
            raise
        waiting = desk.tally.received - desk.tally.accounted
        desk.metrics.gauge("in_flight", waiting, queue=desk.queue.name)

    async def _hand_back(self, batch: Sequence[Received]) -> None:
        """Unstarted messages are for others, at once."""
        tally = self._desk.tally
        try:
            failures = await self._desk.queue.hide([Hiding(m.receipt_handle, 0) for m in batch])
        except Unavailable as error:
            self._log.warning("hand_back_failed", reason=error.reason)
            tally.abandoned += len(batch)
            return
        failed = sum(failure is not None for failure in failures)
        tally.abandoned += failed
        tally.handed_back += len(batch) - failed
