"""Recording: one log line, one set of figures and one place in the tally per delivery.

The last verb. Field names are the same in logs, metrics, tables and runbooks, so that one id finds
a message's whole life.
"""

import asyncio

import structlog

from billfleet_workers.runtime.desk import Desk
from billfleet_workers.runtime.fingerprint import fingerprint
from billfleet_workers.runtime.in_flight import Delivery
from billfleet_workers.runtime.outcome import Done, Duplicate, Outcome, Poison, Retry
from billfleet_workers.runtime.recollection import Ended

_log = structlog.get_logger("billfleet.delivery")
_LEVELS = {"done": "info", "duplicate": "info", "retry": "warning", "poison": "error"}


def record(delivery: Delivery, desk: Desk) -> None:
    """One log line, one set of figures and one place in the tally per delivery."""
    outcome, queue = delivery.outcome, desk.queue.name
    assert outcome is not None  # noqa: S101 - every path above ends with an outcome
    _count(delivery, outcome, desk)
    _remember(delivery, outcome, desk)
    desk.metrics.count("deliveries", queue=queue, type=delivery.type, outcome=outcome.word)
    desk.metrics.timing("handle_ms", delivery.handle_ms, queue=queue, type=delivery.type)
    elapsed_ms = desk.since_ms(delivery.received_at_s)
    desk.metrics.timing("delivery_ms", elapsed_ms, queue=queue)
    envelope = delivery.envelope
    getattr(_log, _LEVELS[outcome.word])(
        outcome.word,
        queue=queue,
        type=delivery.type,
        id=envelope.id if envelope else None,
        tenant=envelope.tenant if envelope else None,
        dedupe_key=envelope.dedupekey if envelope else None,
        traceparent=envelope.traceparent if envelope else None,
        message_id=delivery.received.message_id,
        receive_count=delivery.received.receive_count,
        handle_ms=round(delivery.handle_ms, 2),
        settled=delivery.settled,
        **_what(outcome),
    )


def _what(outcome: Outcome) -> dict[str, object]:
    match outcome:
        case Done(note=note):
            return {"note": note}
        case Duplicate(completed_at=completed_at, note=note):
            return {
                "completed_at": completed_at.isoformat() if completed_at else None,
                "note": note,
            }
        case Retry(after_s=after_s, reason=reason, error_class=error_class):
            return {"after_s": round(after_s, 1), "reason": reason, "error_class": error_class}
        case Poison(reason=reason, error_class=error_class):
            return {
                "reason": reason,
                "error_class": error_class,
                "fingerprint": fingerprint(error_class, reason),
            }


def _count(delivery: Delivery, outcome: Outcome, desk: Desk) -> None:
    tally = desk.tally
    if not delivery.settled:
        tally.abandoned += 1
    elif isinstance(outcome, (Done, Duplicate)):
        tally.completed += 1
    elif isinstance(outcome, Poison):
        tally.dead_lettered += 1
    elif delivery.is_unstarted or isinstance(delivery.result, asyncio.CancelledError):
        tally.handed_back += 1
    else:
        tally.retried += 1


def _remember(delivery: Delivery, outcome: Outcome, desk: Desk) -> None:
    """For the next beat; what did not end at this try, until it ends."""
    received, envelope, recollection = delivery.received, delivery.envelope, desk.recollection
    is_setback = isinstance(outcome, (Retry, Poison))
    if isinstance(outcome, Retry):
        back_at_s = desk.clock.monotonic() + outcome.after_s
        recollection.went_back(received.message_id, received.sent_at, back_at_s)
    else:
        recollection.is_over(received.message_id)
    if delivery.is_unstarted:
        return
    ended = Ended(
        at=desk.clock.now(),
        queue=desk.queue.name,
        message_id=received.message_id,
        event_id=envelope.id if envelope else None,
        event_type=delivery.type,
        tenant=envelope.tenant if envelope else None,
        source=envelope.source if envelope else None,
        dedupe_key=envelope.dedupekey if envelope else None,
        outcome=outcome.word,
        note=outcome.reason if isinstance(outcome, (Retry, Poison)) else outcome.note,
        error_class=outcome.error_class if isinstance(outcome, (Retry, Poison)) else "",
        receive_count=received.receive_count,
        handle_ms=round(delivery.handle_ms, 2),
    )
    recollection.note(ended, is_setback=is_setback)
