"""The life of a message: decode, claim, handle, decide, complete or release, settle, record.

The consumer puts in what its receives returned; here each message goes from verb to verb, in
micro-batches that form across receives, until it is settled. One message's failure never touches
its neighbours, and a slow one never holds up the others. Nothing here knows SQS, DynamoDB or
PostgreSQL: those are ports.

If the lights go out between two verbs, the message is still in the queue and its claim lapses
with its lease: whoever receives it next takes the work over, and the database refuses an effect
that is there already.
"""

import asyncio
from collections.abc import Sequence

import structlog

from billfleet_contracts import ContractError, payload_hash
from billfleet_workers.runtime.admission import BEHIND, Admission
from billfleet_workers.runtime.claiming import claim, follow
from billfleet_workers.runtime.completing import complete, release
from billfleet_workers.runtime.desk import Desk
from billfleet_workers.runtime.handling import Finished, is_set_based
from billfleet_workers.runtime.in_flight import Delivery
from billfleet_workers.runtime.joint_call import JointCall, handle_one
from billfleet_workers.runtime.outcome import Poison, Retry
from billfleet_workers.runtime.policy import decide, reason_of
from billfleet_workers.runtime.ports.queue import Received
from billfleet_workers.runtime.recording import record
from billfleet_workers.runtime.settling import settle
from billfleet_workers.runtime.stage import OnFailure, Stage, Verb
from billfleet_workers.runtime.work_key import work_key

CLAIMS_MAX = 25
SETTLES_MAX = 10
PATIENCE_S = 0.2


class Life:
    """Everything that is in flight on one queue, each message at its verb."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._admission = Admission(fifo=desk.fifo, tenant_max=desk.tenant_max)
        linger_s = desk.linger_s
        # Nobody waits for the end of work that is done, unless a message behind it does.
        longer_s = linger_s if desk.fifo or desk.tenant_max else linger_s * 4
        self._claiming = self._stage(self._claim, self._failed, CLAIMS_MAX, linger_s)
        self._gathering = self._gathering_stages()
        self._completing = self._stage(self._complete, self._leaders_failed, CLAIMS_MAX, longer_s)
        self._settling = self._stage(self._settle, self._failed, SETTLES_MAX, longer_s)
        # In the order of a life, each once: a drain hurries them in the same order every time.
        gathering = dict.fromkeys(self._gathering.values())
        self._stages = (self._claiming, *gathering, self._completing, self._settling)
        self._waiters: list[asyncio.Future[None]] = []
        self._in_flight = 0
        self._is_closing = False
        self._log = structlog.get_logger("billfleet.delivery").bind(queue=desk.queue.name)

    @property
    def in_flight(self) -> int:
        """Messages received and not settled."""
        return self._in_flight

    def begin(self, batch: Sequence[Received]) -> list[Delivery]:
        """Take what a receive returned. Decode it, and let go on what may."""
        now_s = self._desk.clock.monotonic()
        deliveries = [
            Delivery(received, now_s, self._desk.new_token(), extended_at_s=now_s)
            for received in batch
        ]
        self._in_flight += len(deliveries)
        self._desk.heartbeat.watch(deliveries)
        for delivery in deliveries:
            decode_one(delivery, self._desk)
        self._go_on(self._admission.enter(deliveries))
        return deliveries

    def _go_on(self, admitted: Sequence[Delivery]) -> None:
        """To the claim, or straight to settling for what could not be read."""
        if undecodable := [d for d in admitted if d.outcome is not None]:
            self._settling.put(undecodable)
        if readable := [d for d in admitted if d.outcome is None]:
            self._claiming.put(readable)

    async def _claim(self, deliveries: Sequence[Delivery]) -> None:
        for leader in await claim(deliveries, self._desk):
            gathering = self._gathering.get(leader.type)
            if not leader.claimed:
                self._settling.put(_with_followers(leader))
            elif gathering is not None:
                gathering.put([leader])
            else:
                self._handle([leader])

    async def _handle_together(self, deliveries: Sequence[Delivery]) -> None:
        self._handle(deliveries)

    def _handle(self, deliveries: Sequence[Delivery]) -> None:
        """Start the handler: for one message, or one call for all of them."""
        ready = []
        for delivery in deliveries:
            if self._is_closing or delivery.lease_lost:
                # Claimed while the drain ran out of time, or gathered for longer than its lease
                # held: not started, so given back at once.
                self._ended(delivery, asyncio.CancelledError())
            else:
                delivery.started_at_s = self._desk.clock.monotonic()
                ready.append(delivery)
        if len(ready) == 1:
            self._handle_alone(ready[0])
        elif ready:
            JointCall(ready, self._desk).start(self._answered)

    def _handle_alone(self, delivery: Delivery) -> None:
        task = asyncio.create_task(handle_one(delivery, self._desk))
        task.add_done_callback(lambda task: self._handled(delivery, task))
        delivery.task = task

    def _handled(self, delivery: Delivery, task: "asyncio.Task[Finished]") -> None:
        result = asyncio.CancelledError() if task.cancelled() else task.exception() or task.result()
        failed = self._ended(delivery, result)
        self._desk.concurrency.ended(delivery.handle_ms, failed=failed)

    def _answered(self, call: JointCall) -> None:
        """A call for many has ended. Where it answered nobody, each message runs alone."""
        for delivery in call.deliveries:
            # Who of them used up the time nobody knows: alone, each has its own.
            delivery.is_overdue = False
        if call.answers is None:
            for delivery in call.deliveries:
                self._handle([delivery])
            return
        failures = [
            self._ended(delivery, answer)
            for delivery, answer in zip(call.deliveries, call.answers, strict=True)
        ]
        self._desk.concurrency.ended(call.deliveries[0].handle_ms, failed=all(failures))

    def _ended(self, delivery: Delivery, result: Finished | BaseException) -> bool:
        """What came of the work is decided and goes on to be recorded. True: it comes back."""
        delivery.result = result
        decide_one(delivery, self._desk)
        self._completing.put([delivery])
        return isinstance(delivery.outcome, Retry)

    async def _complete(self, deliveries: Sequence[Delivery]) -> None:
        await complete(deliveries, self._desk)
        await release(deliveries, self._desk)
        self._settling.put([one for leader in deliveries for one in _with_followers(leader)])

    async def _settle(self, deliveries: Sequence[Delivery]) -> None:
        # Settled from here on: extending what is being deleted would only be refused.
        self._desk.heartbeat.forget(deliveries)
        await settle(deliveries, self._desk)
        record(deliveries, self._desk)
        self._leave(deliveries)

    def _leave(self, deliveries: Sequence[Delivery]) -> None:
        """These have ended; others may go on, or have to go back with them."""
        self._in_flight -= len(deliveries)
        for delivery in deliveries:
            if delivery.is_unstarted:
                continue
            following, behind = self._admission.leave(delivery)
            self._go_on(following)
            self._send_back(behind)
        self.wake()

    def _send_back(self, waiting: Sequence[Delivery]) -> None:
        for delivery in waiting:
            delivery.outcome = BEHIND
            delivery.is_unstarted = True
        if waiting:
            self._settling.put(waiting)

    def _failed(self, deliveries: Sequence[Delivery], error: Exception) -> None:
        """A defect took this batch. Its messages are in the queue and come back by themselves."""
        self._log.error("delivery_failed", error=f"{type(error).__name__}: {error}", exc_info=error)
        self._desk.heartbeat.forget(deliveries)
        self._desk.tally.abandoned += len(deliveries)
        self._leave(deliveries)

    def _leaders_failed(self, leaders: Sequence[Delivery], error: Exception) -> None:
        """Only leaders are handled and completed; their followers are lost with them."""
        self._failed([one for leader in leaders for one in _with_followers(leader)], error)

    async def changed(self) -> None:
        """Wait until something has been settled, or `wake` is called."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def wake(self) -> None:
        """Whoever waits for a change now looks again."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def ended(self) -> None:
        """Wait until nothing is in flight. Nothing lingers any more, and who waits goes back."""
        for stage in self._stages:
            stage.hurry()
        if self._desk.draining.is_set():
            self._send_back(self._admission.give_up_waiting())
        while self._in_flight:
            await self.changed()

    def cancel_handlers(self) -> None:
        """Stop what runs; each message goes back at once."""
        self._is_closing = True
        for delivery in self._desk.heartbeat.watched:
            if delivery.task is not None and not delivery.task.done():
                delivery.task.cancel()

    def abort(self) -> None:
        """Stop in the middle, as a process that dies would; leases and visibility lapse."""
        for stage in self._stages:
            stage.abort()
        self.cancel_handlers()

    def _gathering_stages(self) -> dict[str, Stage]:
        """By event type: where messages of a set-based handler wait for each other."""
        stages: dict[int, Stage] = {}
        by_type: dict[str, Stage] = {}
        for event_type, handler in self._desk.handlers.items():
            if is_set_based(handler):
                stage = stages.setdefault(
                    id(handler),
                    Stage(
                        self._handle_together,
                        self._leaders_failed,
                        self._desk.clock,
                        size_max=handler.batch_max,
                        linger_s=self._desk.gather_s,
                    ),
                )
                by_type[event_type] = stage
        return by_type

    def _stage(self, verb: Verb, on_failure: OnFailure, size_max: int, linger_s: float) -> Stage:
        return Stage(
            verb,
            on_failure,
            self._desk.clock,
            size_max=size_max,
            linger_s=linger_s,
            patience_s=max(linger_s, PATIENCE_S),
        )


def decode_one(delivery: Delivery, desk: Desk) -> None:
    """Bytes become a typed event of a worker that knows it, or poison."""
    try:
        envelope = desk.decode(delivery.received.body)
    except ContractError as error:
        delivery.outcome = Poison(str(error), type(error).__name__)
        return
    except Exception as error:  # noqa: BLE001 - whatever it is, it is about this message alone
        reason = f"the body can't be read: {reason_of(error)}"
        delivery.outcome = Poison(reason, type(error).__name__)
        return
    delivery.envelope = envelope
    if envelope.type not in desk.handlers:
        delivery.outcome = Poison(
            f"queue {desk.queue.name} has no handler for {envelope.type}: it was sent to the wrong "
            "queue",
            "WrongQueue",
        )
        return
    delivery.key = work_key(envelope, desk.queue.name)
    delivery.payload_hash = payload_hash(envelope)


def decide_one(delivery: Delivery, desk: Desk) -> None:
    """A result becomes an outcome."""
    if delivery.is_overdue:
        delivery.result = TimeoutError()
    if delivery.lease_lost:
        delivery.outcome = Retry(
            desk.policy.lease_s, "the lease was lost while working", "LeaseLost"
        )
    elif delivery.result is not None:
        delivery.outcome = decide(
            delivery.result, _tries(delivery, desk), desk.policy, desk.jitter()
        )


def _tries(delivery: Delivery, desk: Desk) -> int:
    """How often it was tried. On FIFO queues a message is also received, and handed back, whenever
    one before it in its group fails: there its dedupe record counts."""
    return delivery.attempts if desk.fifo else delivery.received.receive_count


def _with_followers(leader: Delivery) -> list[Delivery]:
    """A message and those that share its end, for they carry the same work."""
    for follower in leader.followers:
        follower.outcome = follow(follower, leader)
    return [leader, *leader.followers]


async def deliver(batch: Sequence[Received], desk: Desk) -> list[Delivery]:
    """Bring one batch to its end, and nothing else: for hosts that are handed their messages."""
    life = Life(desk)
    try:
        deliveries = life.begin(batch)
        await life.ended()
    except BaseException:
        life.abort()
        raise
    return deliveries
