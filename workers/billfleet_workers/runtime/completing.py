"""Completing and releasing: what is done is recorded, what is not is given back.

Verbs of delivery, between deciding and settling, so that a message is never deleted before its
work is on record. A worker whose lease was lost records nothing.
"""

from collections.abc import Sequence

import structlog

from billfleet_workers.runtime.desk import Desk
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.in_flight import Delivery
from billfleet_workers.runtime.outcome import Done, Poison, Retry
from billfleet_workers.runtime.ports.dedupe import Completion, Held

COMPLETE_TRIES = 3
COMPLETE_RETRY_S = 0.2

_log = structlog.get_logger("billfleet.completing")


async def complete(deliveries: Sequence[Delivery], desk: Desk) -> None:
    """Record what is done. What can't be recorded comes back instead of being deleted."""
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
        for delivery in done:
            # The effect is there and guards itself: the message may come back and be refused.
            delivery.outcome = Retry(
                desk.policy.lease_s, "done, but it could not be recorded", "Unavailable"
            )
        return
    for delivery, is_recorded in zip(done, recorded, strict=True):
        if not is_recorded:
            desk.metrics.count("leases_lost", queue=desk.queue.name)
            delivery.claimed = False
            delivery.outcome = Retry(
                desk.policy.lease_s, "done, but the lease was lost before", "LeaseLost"
            )


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
        Held(d.key, d.token, _failed_attempts(d) if desk.fifo else 0)
        for d in deliveries
        if d.claimed and not d.lease_lost and isinstance(d.outcome, (Retry, Poison))
    ]
    if not held:
        return
    try:
        await desk.dedupe.release(held)
    except Unavailable as error:
        # The leases lapse by themselves; only time is lost.
        _log.warning("release_failed", queue=desk.queue.name, reason=error.reason)
        desk.gate.shut(error.dependency, error.reason)


def _failed_attempts(delivery: Delivery) -> int:
    """What the record keeps count of. An outage and a drain are no fault of the message."""
    if isinstance(delivery.outcome, Poison):
        return 0
    is_its_fault = isinstance(delivery.result, Exception) and not isinstance(
        delivery.result, Unavailable
    )
    return delivery.attempts if is_its_fault else delivery.attempts - 1
