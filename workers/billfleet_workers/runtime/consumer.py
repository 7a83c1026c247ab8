"""Receiving: long polls with a bounded number in flight, until told to drain.

The fleet runs one consumer per queue. A receiver waits for room, asks for what may start at once,
and puts it into the queue's `Life`, which settles each message as soon as it can. Draining stops
asking, takes the answer of a poll that is still out and hands its messages back unstarted, lets
handlers finish until the deadline, and cancels what is left.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog

from billfleet_workers.runtime.delivery import Life
from billfleet_workers.runtime.desk import Desk
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.queue import Hiding, Received
from billfleet_workers.runtime.supervision import supervise

BATCH_MAX = 10
RECEIVE_RETRY_FIRST_S = 0.5
RECEIVE_RETRY_CAP_S = 20.0
SETTLE_MARGIN_S = 3.0
STUCK_POLL_S_MIN = 20.0
HANGING_AFTER_S = 20.0


class Consumer:
    """Receives from one queue and has its messages delivered."""

    def __init__(self, desk: Desk, *, receivers: int, poll_wait_s: float) -> None:
        self._desk = desk
        self._life = Life(desk)
        self._receivers = receivers
        self._poll_wait_s = poll_wait_s
        self._asking_for = 0
        self._more = asyncio.Event()
        self._polls: dict[asyncio.Future[Sequence[Received]], float] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._side_tasks: list[asyncio.Task[None]] = []
        self._retry_s = RECEIVE_RETRY_FIRST_S
        self.receive_error: str | None = None
        self._last_answer_s = desk.clock.monotonic()
        self._log = structlog.get_logger("billfleet.consumer").bind(queue=desk.queue.name)

    @property
    def desk(self) -> Desk:
        """What this consumer delivers with."""
        return self._desk

    @property
    def in_flight(self) -> int:
        """Messages received and not settled."""
        return self._life.in_flight

    @property
    def last_answer_age_s(self) -> float:
        """Seconds since SQS last answered a receive, with messages or without."""
        return self._desk.clock.monotonic() - self._last_answer_s

    def is_stuck(self, polls: float) -> bool:
        """Whether it could receive, and had no answer for as long as `polls` long polls last."""
        could_receive = self._desk.gate.is_open and self._room() + self._asking_for > 0
        patience_s = polls * max(self._poll_wait_s, STUCK_POLL_S_MIN)
        return could_receive and self.last_answer_age_s > patience_s

    def start(self) -> None:
        """Begin to receive."""
        name = self._desk.queue.name
        self._tasks = [
            self._supervised(f"receiver-{name}-{number}", partial(self._receive, number > 0))
            for number in range(self._receivers)
        ]
        self._side_tasks = [
            self._supervised(f"heartbeat-{name}", self._desk.heartbeat.run),
            self._supervised(f"polls-{name}", self._cut_hanging_polls),
        ]

    async def drain(self, deadline_s: float) -> bool:
        """Stop and finish by the deadline. True: every received message is accounted for."""
        desk = self._desk
        desk.draining.set()
        self._more.set()
        self._life.wake()
        working_s = max(0.1, deadline_s - SETTLE_MARGIN_S)
        finishing = asyncio.gather(*self._tasks, self._life.ended(), return_exceptions=True)
        await asyncio.wait([finishing], timeout=working_s)
        if not finishing.done():
            self._life.cancel_handlers()
            await asyncio.wait([finishing], timeout=SETTLE_MARGIN_S)
        finishing.cancel()
        for task in (*self._tasks, *self._side_tasks):
            task.cancel()
        await asyncio.gather(finishing, *self._tasks, *self._side_tasks, return_exceptions=True)
        desk.tally.abandoned += self._life.in_flight
        self._life.abort()
        self._log.info("drained", adds_up=desk.tally.adds_up, **desk.tally.as_dict())
        return desk.tally.adds_up

    def _supervised(self, name: str, run: Callable[[], Awaitable[None]]) -> "asyncio.Task[None]":
        desk = self._desk
        return asyncio.create_task(supervise(name, run, clock=desk.clock, metrics=desk.metrics))

    async def _receive(self, is_extra: bool) -> None:
        """Receive until drained. An extra receiver only joins in while there is more to come."""
        while await self._may_receive(is_extra=is_extra):
            batch = await self._poll()
            if not batch:
                continue
            self._desk.tally.received += len(batch)
            if self._desk.draining.is_set():
                await self._hand_back(batch)
            else:
                self._life.begin(batch)

    async def _may_receive(self, *, is_extra: bool) -> bool:
        """Wait for the gate, for room and for a reason; False once draining."""
        desk, draining = self._desk, self._desk.draining
        while not draining.is_set():
            if not desk.gate.is_open:
                await _first_of(draining.wait(), desk.gate.wait_open())
            elif is_extra and not self._more.is_set():
                # An idle queue is polled once, not once by every receiver.
                await self._more.wait()
            elif self._room() < self._worth_asking():
                desk.concurrency.note_full()
                await self._life.changed()
            else:
                return True
        return False

    def _room(self) -> int:
        """How many messages may be asked for now: as many as may start at once."""
        free = self._desk.concurrency.limit - self._life.in_flight - self._asking_for
        return min(free, BATCH_MAX)

    def _worth_asking(self) -> int:
        """A call costs the same for one message as for ten: wait until some fit."""
        return min(BATCH_MAX, max(1, self._desk.concurrency.limit // 4))

    async def _poll(self) -> Sequence[Received]:
        desk = self._desk
        limit = self._room()
        self._asking_for += limit
        started_s = desk.clock.monotonic()
        poll = asyncio.ensure_future(
            desk.queue.receive(
                limit=limit,
                wait_s=self._poll_wait_s,
                visibility_timeout_s=desk.policy.visibility_timeout_s,
            )
        )
        self._polls[poll] = started_s
        try:
            batch = await poll
        except asyncio.CancelledError:
            if not poll.cancelled() or poll in self._polls:
                self._abandon_answer(poll)
                poll.cancel()
                raise
            # Cut by `_cut_hanging_polls`, which took it off the list.
            return ()
        except Unavailable as error:
            await self._wait_out(error)
            return ()
        finally:
            self._polls.pop(poll, None)
            self._asking_for -= limit
        self._retry_s, self.receive_error = RECEIVE_RETRY_FIRST_S, None
        now_s = desk.clock.monotonic()
        desk.metrics.timing("receive_ms", (now_s - started_s) * 1000, queue=desk.queue.name)
        self._last_answer_s = now_s
        if len(batch) >= limit:
            self._more.set()
        elif not batch:
            self._more.clear()
        if batch:
            desk.metrics.count("messages_received", len(batch), queue=desk.queue.name)
        return batch

    def _abandon_answer(self, poll: "asyncio.Future[Sequence[Received]]") -> None:
        """The poll answered in the very turn in which its receiver was cancelled: count it."""
        if poll.done() and not poll.cancelled() and poll.exception() is None:
            self._desk.tally.received += len(poll.result())
            self._desk.tally.abandoned += len(poll.result())

    async def _wait_out(self, error: Unavailable) -> None:
        """SQS said no. That is an answer, and asking again is progress; but not at once."""
        desk = self._desk
        self._last_answer_s, self.receive_error = desk.clock.monotonic(), error.reason
        desk.metrics.count("receive_failures", queue=desk.queue.name)
        self._log.warning("receive_failed", reason=error.reason, retry_in_s=self._retry_s)
        await _first_of(desk.draining.wait(), desk.clock.sleep(self._retry_s))
        self._retry_s = min(self._retry_s * 2, RECEIVE_RETRY_CAP_S)

    async def _cut_hanging_polls(self) -> None:
        """A poll that outlives its own waiting time by far will never answer: cut it."""
        desk = self._desk
        while True:
            await desk.clock.sleep(HANGING_AFTER_S / 3)
            overdue_s = desk.clock.monotonic() - self._poll_wait_s - HANGING_AFTER_S
            hanging = [poll for poll, started_s in self._polls.items() if started_s <= overdue_s]
            for poll in hanging:
                del self._polls[poll]
                poll.cancel()
            if hanging:
                desk.metrics.count("receive_failures", len(hanging), queue=desk.queue.name)
                self._log.warning("poll_cut", polls=len(hanging))
                await desk.queue.recycle()

    async def _hand_back(self, batch: Sequence[Received]) -> None:
        """Unstarted messages are for others, at once."""
        tally = self._desk.tally
        try:
            failures = await self._desk.queue.hide([Hiding(m.receipt_handle, 0) for m in batch])
        except Unavailable as error:
            self._log.warning("hand_back_failed", reason=error.reason)
            tally.abandoned += len(batch)
            return
        except asyncio.CancelledError:
            tally.abandoned += len(batch)
            raise
        failed = sum(failure is not None for failure in failures)
        tally.abandoned += failed
        tally.handed_back += len(batch) - failed


async def _first_of(*waits: Awaitable[object]) -> None:
    """Wait for the first; the others are given up."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
