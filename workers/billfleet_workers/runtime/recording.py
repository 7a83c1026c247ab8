"""Recording: one log line, one set of figures and one place in the tally per delivery.

The last verb. Field names are the same in logs, metrics, tables and runbooks, so that one id finds
a message's whole life.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime

import structlog

from billfleet_workers.runtime.desk import Desk
from billfleet_workers.runtime.fingerprint import fingerprint
from billfleet_workers.runtime.in_flight import Delivery
from billfleet_workers.runtime.log import Line, write_lines
from billfleet_workers.runtime.outcome import Done, Duplicate, Outcome, Poison, Retry
from billfleet_workers.runtime.recollection import Ended

_log = structlog.get_logger("billfleet.delivery")
_LEVELS = {"done": "info", "duplicate": "info", "retry": "warning", "poison": "error"}


def record(deliveries: Sequence[Delivery], desk: Desk) -> None:
    """One log line, one set of figures and one place in the tally per delivery."""
    metrics, queue = desk.metrics, desk.queue.name
    now, now_s = desk.clock.now(), desk.clock.monotonic()
    counted: Counter[tuple[str, str]] = Counter()
    handle_ms: defaultdict[str, list[float]] = defaultdict(list)
    lines: list[Line] = []
    for delivery in deliveries:
        outcome = delivery.outcome
        assert outcome is not None  # noqa: S101 - every path before ends with an outcome
        word, event_type = outcome.word, delivery.type
        _count(delivery, outcome, desk)
        _remember(delivery, outcome, desk, now, now_s)
        counted[event_type, word] += 1
        handle_ms[event_type].append(delivery.handle_ms)
        lines.append((_LEVELS[word], word, _fields(delivery, outcome, queue)))
    for (event_type, word), count in counted.items():
        metrics.count("deliveries", count, queue=queue, type=event_type, outcome=word)
    for event_type, all_ms in handle_ms.items():
        metrics.timings("handle_ms", all_ms, queue=queue, type=event_type)
    ages_ms = [(now_s - delivery.received_at_s) * 1000 for delivery in deliveries]
    metrics.timings("delivery_ms", ages_ms, queue=queue)
    write_lines(_log, lines, now)


def _fields(delivery: Delivery, outcome: Outcome, queue: str) -> dict[str, object]:
    envelope, received = delivery.envelope, delivery.received
    return {
        "queue": queue,
        "type": delivery.type,
        "id": envelope and envelope.id,
        "tenant": envelope and envelope.tenant,
        "dedupe_key": envelope and envelope.dedupekey,
        "traceparent": envelope and envelope.traceparent,
        "message_id": received.message_id,
        "receive_count": received.receive_count,
        "handle_ms": round(delivery.handle_ms, 2),
        "settled": delivery.settled,
        **_what(outcome),
    }


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


def _remember(
    delivery: Delivery, outcome: Outcome, desk: Desk, now: datetime, now_s: float
) -> None:
    """For the next beat; what did not end at this try, until it ends."""
    received, envelope, recollection = delivery.received, delivery.envelope, desk.recollection
    is_setback = isinstance(outcome, (Retry, Poison))
    if isinstance(outcome, Retry):
        back_at_s = now_s + outcome.after_s
        recollection.went_back(received.message_id, received.sent_at, back_at_s)
    else:
        recollection.is_over(received.message_id)
    if delivery.is_unstarted:
        return
    ended = Ended(
        at=now,
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
