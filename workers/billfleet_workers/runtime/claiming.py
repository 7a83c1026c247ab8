"""Claiming: one call says for a whole batch whose the work is.

A verb of delivery. The same key twice in a batch is asked for once: the second follows the first
and shares its end.
"""

from collections.abc import Sequence

from billfleet_workers.runtime.desk import Desk
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.in_flight import Delivery
from billfleet_workers.runtime.outcome import Done, Duplicate, Outcome, Poison, Retry
from billfleet_workers.runtime.policy import decide, decide_claim
from billfleet_workers.runtime.ports.dedupe import Claimed, ClaimRequest


async def claim(deliveries: Sequence[Delivery], desk: Desk) -> list[Delivery]:
    """Claim the keys of decoded deliveries; returns the leaders, one for each key.

    Afterwards a leader is either claimed, or has an outcome that its followers share.
    """
    leaders: dict[str, Delivery] = {}
    for delivery in deliveries:
        leader = leaders.setdefault(delivery.key, delivery)
        if leader is not delivery:
            leader.followers.append(delivery)
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
        return asked
    finally:
        desk.metrics.timing("claim_ms", desk.since_ms(started_s), queue=desk.queue.name)
    now = desk.clock.now()
    for delivery, answer in zip(asked, answers, strict=True):
        delivery.outcome = decide_claim(answer, now)
        delivery.claimed = delivery.outcome is None
        if isinstance(answer, Claimed):
            delivery.attempts = answer.attempts
        delivery.extended_at_s = started_s
    return asked


def follow(follower: Delivery, leader: Delivery) -> Outcome | None:
    """The outcome of a second message with the same key, from the end of the first."""
    is_same = follower.payload_hash == leader.payload_hash
    match leader.outcome:
        case Done(note=note) if is_same:
            return Duplicate(None, note)
        case Done():
            return Poison(
                "the dedupe key is used by another message with another payload", "PayloadMismatch"
            )
        case other if is_same:
            return other
        case _:
            # Which of the two payloads the key belongs to is not decided yet: it asks for itself.
            return Retry(1.0, "shares its key with a message of another payload", "SharedKey")
