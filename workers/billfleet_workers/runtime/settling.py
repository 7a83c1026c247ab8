"""Settling: delete what is finished, hide what comes back, bury what is poison.

The last act of delivery on the queue. Poison reaches the dead-letter queue before it leaves its
own, and every entry's answer is looked at: what could not be settled stays and comes back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from billfleet_workers.runtime.desk import Desk
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.fingerprint import fingerprint
from billfleet_workers.runtime.in_flight import Delivery
from billfleet_workers.runtime.outcome import Done, Duplicate, Poison, Retry
from billfleet_workers.runtime.ports.queue import Burial, EntryFailure, Hiding

_log = structlog.get_logger("billfleet.settling")


async def settle(deliveries: Sequence[Delivery], desk: Desk) -> None:
    """Delete, hide or bury; every entry's answer is looked at."""
    started_s = desk.clock.monotonic()
    await _bury([d for d in deliveries if isinstance(d.outcome, Poison)], desk)
    finished = [d for d in deliveries if isinstance(d.outcome, (Done, Duplicate, Poison))]
    waiting = [d for d in deliveries if isinstance(d.outcome, Retry)]
    await _delete(finished, desk)
    await _hide(waiting, desk)
    desk.metrics.timing("settle_ms", desk.since_ms(started_s), queue=desk.queue.name)


async def _bury(poisoned: Sequence[Delivery], desk: Desk) -> None:
    """Into the dead-letter queue first. What does not arrive there stays where it is."""
    if not poisoned:
        return
    burials = [
        Burial(
            d.received.message_id,
            d.received.pointer or d.received.body,
            burial_attributes(d, desk),
            d.received.group_id,
        )
        for d in poisoned
    ]
    failures = await _entry_by_entry("bury", len(burials), desk, lambda: desk.queue.bury(burials))
    for delivery, failure in zip(poisoned, failures, strict=True):
        if failure is not None and isinstance(delivery.outcome, Poison):
            delivery.outcome = Retry(
                desk.policy.backoff_cap_s,
                f"could not be buried ({failure.reason}): {delivery.outcome.reason}",
                delivery.outcome.error_class,
            )


def burial_attributes(delivery: Delivery, desk: Desk) -> dict[str, str]:
    """What a dead letter says of itself. SQS allows ten attributes."""
    outcome, received = delivery.outcome, delivery.received
    reason, error_class = (
        (outcome.reason, outcome.error_class) if isinstance(outcome, Poison) else ("", "")
    )
    attributes = {
        "reason": reason,
        "error_class": error_class,
        "fingerprint": fingerprint(error_class, reason),
        "contract": delivery.type,
        "attempt": str(received.receive_count),
        "origin": desk.queue.name,
        "original_message_id": received.attributes.get("original_message_id", received.message_id),
        "buried_at": desk.clock.now().isoformat(),
    }
    if received.sent_at is not None:
        attributes["first_sent_at"] = received.attributes.get(
            "first_sent_at", received.sent_at.isoformat()
        )
    return attributes


async def _delete(deliveries: Sequence[Delivery], desk: Desk) -> None:
    handles = [d.received.receipt_handle for d in deliveries]
    failures = await _entry_by_entry(
        "delete", len(handles), desk, lambda: desk.queue.delete(handles)
    )
    for delivery, failure in zip(deliveries, failures, strict=True):
        delivery.settled = failure is None


async def _hide(deliveries: Sequence[Delivery], desk: Desk) -> None:
    hidings = [Hiding(d.received.receipt_handle, _visible_in_s(d, desk)) for d in deliveries]
    failures = await _entry_by_entry("hide", len(hidings), desk, lambda: desk.queue.hide(hidings))
    for delivery, failure in zip(deliveries, failures, strict=True):
        delivery.settled = failure is None


def _visible_in_s(delivery: Delivery, desk: Desk) -> int:
    """A drained worker's unfinished messages are for others, at once."""
    after_s = delivery.outcome.after_s if isinstance(delivery.outcome, Retry) else 0.0
    cancelled = isinstance(delivery.result, asyncio.CancelledError)
    return 0 if cancelled and desk.draining.is_set() else round(after_s)


async def _entry_by_entry(
    verb: str,
    size: int,
    desk: Desk,
    call: Callable[[], Awaitable[Sequence[EntryFailure | None]]],
) -> Sequence[EntryFailure | None]:
    """One settling call; a call that fails as a whole fails each of its entries."""
    if size == 0:
        return []
    try:
        failures = await call()
    except Unavailable as error:
        desk.gate.shut(error.dependency, error.reason)
        failures = [EntryFailure("Unavailable", error.reason, retriable=True)] * size
    for failure in failures:
        if failure is not None:
            desk.metrics.count("settle_failures", queue=desk.queue.name, verb=verb)
            _log.warning(
                "settle_failed",
                verb=verb,
                queue=desk.queue.name,
                code=failure.code,
                reason=failure.reason,
            )
    return failures
