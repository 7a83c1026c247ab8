"""The life of a message: decode, claim, handle, decide, complete or release, settle, record.

The consumer hands over what one receive returned; this file brings every message of it to an
outcome and acts on that outcome. Each verb works on the whole batch, and one message's failure
never touches its neighbours. Nothing here knows SQS, DynamoDB or PostgreSQL: those are ports.

If the lights go out between two verbs, the message is still in the queue and its claim lapses
with its lease: whoever receives it next takes the work over, and the database refuses an effect
that is there already.
"""

import asyncio
from collections.abc import Sequence

from billfleet_contracts import ContractError, decode, payload_hash
from billfleet_workers.runtime.desk import Desk
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.in_flight import Delivery
from billfleet_workers.runtime.outcome import Done, Duplicate, Outcome, Poison, Retry
from billfleet_workers.runtime.policy import decide, decide_claim
from billfleet_workers.runtime.ports.dedupe import ClaimRequest, Completion, Held
from billfleet_workers.runtime.ports.queue import Received
from billfleet_workers.runtime.recording import record
from billfleet_workers.runtime.settling import settle

COMPLETE_TRIES = 3
COMPLETE_RETRY_S = 0.2


async def deliver(batch: Sequence[Received], desk: Desk) -> Sequence[Delivery]:
    """Bring every message of a batch to its outcome, and settle it."""
    now_s = desk.clock.monotonic()
    deliveries = [
        Delivery(received, now_s, desk.new_token(), extended_at_s=now_s) for received in batch
    ]
    desk.heartbeat.watch(deliveries)
    try:
        for delivery in deliveries:
            decode_one(delivery, desk)
        await claim(deliveries, desk)
        await handle(deliveries, desk)
        for delivery in deliveries:
            decide_one(delivery, desk)
        await complete(deliveries, desk)
        await release(deliveries, desk)
    finally:
        desk.heartbeat.forget(deliveries)
    await settle(deliveries, desk)
    for delivery in deliveries:
        record(delivery, desk)
    return deliveries


def decode_one(delivery: Delivery, desk: Desk) -> None:
    """Bytes become a typed event of a worker that knows it, or poison."""
    try:
        envelope = decode(delivery.received.body)
    except ContractError as error:
        delivery.outcome = Poison(str(error), type(error).__name__)
        return
    delivery.envelope = envelope
    if envelope.type not in desk.handlers:
        delivery.outcome = Poison(
            f"queue {desk.queue.name} has no handler for {envelope.type}: it was sent to the wrong "
            "queue",
            "WrongQueue",
        )
        return
    delivery.key = f"{envelope.tenant}#{desk.queue.name}#{envelope.dedupekey}"
    delivery.payload_hash = payload_hash(envelope)


async def claim(deliveries: Sequence[Delivery], desk: Desk) -> None:
    """One call for all keys. The same key twice in a batch follows its first delivery."""
    leaders: dict[str, Delivery] = {}
    for delivery in deliveries:
        if delivery.outcome is None:
            leader = leaders.setdefault(delivery.key, delivery)
            delivery.follows = None if leader is delivery else leader
    if not leaders:
        return
    asked = list(leaders.values())
    started_s = desk.clock.monotonic()
    try:
        answers = await desk.dedupe.claim(
            [ClaimRequest(d.key, d.payload_hash, d.token, desk.policy.lease_s) for d in asked]
        )
    except Unavailable as error:
        desk.gate.shut(error.dependency, error.reason)
        desk.metrics.count("dedupe_unavailable", queue=desk.queue.name)
        for delivery in asked:
            delivery.outcome = decide(
                error, delivery.received.receive_count, desk.policy, desk.jitter()
            )
        return
    finally:
        desk.metrics.timing("claim_ms", desk.since_ms(started_s), queue=desk.queue.name)
    for delivery, answer in zip(asked, answers, strict=True):
        delivery.outcome = decide_claim(answer, desk.clock.now())
        delivery.claimed = delivery.outcome is None


async def handle(deliveries: Sequence[Delivery], desk: Desk) -> None:
    """Run the handlers of what was claimed, side by side, each inside its deadline."""
    ours = [delivery for delivery in deliveries if delivery.claimed]
    for delivery in ours:
        delivery.task = asyncio.create_task(_handle_one(delivery, desk))
    results = await asyncio.gather(
        *(delivery.task for delivery in ours if delivery.task), return_exceptions=True
    )
    for delivery, result in zip(ours, results, strict=True):
        delivery.result = result
        if isinstance(result, Unavailable):
            desk.gate.shut(result.dependency, result.reason)


async def _handle_one(delivery: Delivery, desk: Desk) -> Finished:
    assert delivery.envelope is not None  # noqa: S101 - only what was decoded is claimed
    work = Work(
        envelope=delivery.envelope,
        message_id=delivery.received.message_id,
        receive_count=delivery.received.receive_count,
        received_at=desk.clock.now(),
        token=delivery.token,
    )
    started_s = desk.clock.monotonic()
    try:
        async with asyncio.timeout(desk.policy.deadline_s):
            return await desk.handlers[delivery.envelope.type].handle(work)
    finally:
        delivery.handle_ms = desk.since_ms(started_s)


def decide_one(delivery: Delivery, desk: Desk) -> None:
    """A result becomes an outcome; a follower takes its leader's."""
    if delivery.outcome is not None:
        return
    leader = delivery.follows
    if leader is not None:
        delivery.outcome = _follow(delivery, leader)
    elif delivery.lease_lost:
        delivery.outcome = Retry(
            desk.policy.lease_s, "the lease was lost while working", "LeaseLost"
        )
    elif delivery.result is not None:
        delivery.outcome = decide(
            delivery.result, delivery.received.receive_count, desk.policy, desk.jitter()
        )


def _follow(delivery: Delivery, leader: Delivery) -> Outcome | None:
    """The outcome of a second message with the same key in one batch."""
    if delivery.payload_hash != leader.payload_hash:
        return Poison(
            "the dedupe key is used by another message with another payload", "PayloadMismatch"
        )
    match leader.outcome:
        case Done(note=note):
            return Duplicate(None, note)
        case Poison(reason=reason, error_class=error_class):
            return Poison(reason, error_class)
        case other:
            return other


async def complete(deliveries: Sequence[Delivery], desk: Desk) -> None:
    """Record what is done, before the message is deleted. A lost lease is not recorded."""
    done = [d for d in deliveries if d.claimed and isinstance(d.outcome, Done)]
    if not done:
        return
    completions = [
        Completion(d.key, d.token, desk.policy.retain_s, d.outcome.note)
        for d in done
        if isinstance(d.outcome, Done)
    ]
    try:
        recorded = await _complete_with_retries(completions, desk)
    except Unavailable as error:
        desk.gate.shut(error.dependency, error.reason)
        recorded = None
    for index, delivery in enumerate(done):
        if recorded is None:
            # The effect is there and guards itself: the message may come back and be refused.
            delivery.outcome = Retry(
                desk.policy.lease_s, "done, but it could not be recorded", "Unavailable"
            )
        elif not recorded[index]:
            desk.metrics.count("leases_lost", queue=desk.queue.name)
            delivery.claimed = False
            delivery.outcome = Retry(
                desk.policy.lease_s, "done, but the lease was lost before", "LeaseLost"
            )
    for delivery in deliveries:
        if delivery.follows is not None and isinstance(delivery.outcome, Duplicate):
            delivery.outcome = _follow(delivery, delivery.follows)


async def _complete_with_retries(completions: Sequence[Completion], desk: Desk) -> Sequence[bool]:
    for attempt in range(1, COMPLETE_TRIES):
        try:
            return await desk.dedupe.complete(completions)
        except Unavailable:
            await desk.clock.sleep(COMPLETE_RETRY_S * attempt)
    return await desk.dedupe.complete(completions)


async def release(deliveries: Sequence[Delivery], desk: Desk) -> None:
    """Give back claims of work that is not done, so that the next delivery starts at once."""
    held = [
        Held(d.key, d.token)
        for d in deliveries
        if d.claimed and not d.lease_lost and isinstance(d.outcome, (Retry, Poison))
    ]
    if not held:
        return
    try:
        await desk.dedupe.release(held)
    except Unavailable as error:
        # The leases lapse by themselves; only time is lost.
        desk.gate.shut(error.dependency, error.reason)
