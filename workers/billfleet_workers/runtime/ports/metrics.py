"""The metrics port, and the one registry of every metric that the fleet emits.

A name that is not in the registry does not type-check. The registry is what the console, the
dashboards and the alarms are made from, so each entry says what it counts and in which unit.
Emitting never blocks and never raises.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Counter = Literal[
    "messages_received",
    "deliveries",
    "settle_failures",
    "dedupe_unavailable",
    "leases_lost",
    "heartbeats",
    "receive_failures",
    "side_task_restarts",
    "outbox_published",
    "outbox_failures",
    "accounts_rebilled",
    "periods_refused",
    "payment_attempts",
    "loyalty_transactions",
    "events_tracked",
    "raw_events_exported",
    "reports_made",
    "loyalty_view_entries",
    "webhook_attempts",
    "avatars",
    "exports_ended",
    "export_rows",
    "due_bill_requests",
    "mails",
    "mail_copies_lost",
    "mail_notices",
]
Timer = Literal[
    "handle_ms",
    "delivery_ms",
    "receive_ms",
    "claim_ms",
    "settle_ms",
    "gateway_ms",
    "mail_service_ms",
]
Gauge = Literal[
    "in_flight",
    "last_poll_age_s",
    "outbox_depth",
    "outbox_age_s",
    "event_loop_lag_ms",
    "oldest_unfinished_age_s",
    "queue_waiting",
    "dead_letters",
    "workers_alive",
    "backlog_per_worker",
    "drain_s",
    "attempts_for_a_human",
    "accounts_parked",
]


@dataclass(frozen=True, slots=True)
class MetricDef:
    """One metric: its kind, what it says, and the tags that it carries."""

    kind: Literal["counter", "timer", "gauge"]
    says: str
    tags: tuple[str, ...] = ()


METRICS: dict[Counter | Timer | Gauge, MetricDef] = {
    "messages_received": MetricDef("counter", "Messages handed over by SQS.", ("queue",)),
    "deliveries": MetricDef(
        "counter",
        "Deliveries ended, by outcome (done, duplicate, retry, poison).",
        ("queue", "type", "outcome"),
    ),
    "settle_failures": MetricDef(
        "counter", "Entries of a settling call that SQS refused.", ("queue", "verb")
    ),
    "dedupe_unavailable": MetricDef(
        "counter", "Batches put back because the dedupe store could not be asked.", ("queue",)
    ),
    "leases_lost": MetricDef("counter", "Claims that another worker took over.", ("queue",)),
    "heartbeats": MetricDef("counter", "Visibility and lease extensions.", ("queue",)),
    "receive_failures": MetricDef("counter", "Receives that failed.", ("queue",)),
    "side_task_restarts": MetricDef("counter", "Side tasks that died and came back.", ("task",)),
    "outbox_published": MetricDef("counter", "Outbox rows accepted by SQS or SNS.", ("route",)),
    "outbox_failures": MetricDef("counter", "Outbox rows refused, by route.", ("route",)),
    "accounts_rebilled": MetricDef("counter", "Charges written to the ledger.", ("tenant",)),
    "periods_refused": MetricDef("counter", "Periods not billed, by reason.", ("reason",)),
    "payment_attempts": MetricDef(
        "counter", "Answers of the payment gateway, by result.", ("gateway", "result")
    ),
    "loyalty_transactions": MetricDef(
        "counter", "Loyalty transactions, by kind and result.", ("kind", "result")
    ),
    "events_tracked": MetricDef(
        "counter", "Events of analytics, by what became of them.", ("result",)
    ),
    "raw_events_exported": MetricDef("counter", "Events written to the object store as Parquet."),
    "reports_made": MetricDef("counter", "Reports made, by period.", ("period",)),
    "loyalty_view_entries": MetricDef("counter", "Entries written to the loyalty view."),
    "webhook_attempts": MetricDef(
        "counter", "Tries of webhook deliveries, by how the delivery stood after.", ("result",)
    ),
    "avatars": MetricDef("counter", "Uploaded pictures, by what became of them.", ("result",)),
    "exports_ended": MetricDef(
        "counter", "Exports ended (ready, failed, cancelled).", ("state", "format")
    ),
    "export_rows": MetricDef("counter", "Rows of exports that became ready.", ("format",)),
    "due_bill_requests": MetricDef(
        "counter", "Requests for due bills, by what was answered.", ("answer",)
    ),
    "mails": MetricDef("counter", "Mails, by what became of them.", ("template", "result")),
    "mail_copies_lost": MetricDef(
        "counter", "Mails of which no copy could be kept; they go out all the same.", ("template",)
    ),
    "mail_notices": MetricDef(
        "counter", "What the mail service told us, by kind and what followed.", ("kind", "result")
    ),
    "handle_ms": MetricDef("timer", "Time in the handler, per message.", ("queue", "type")),
    "delivery_ms": MetricDef("timer", "Receive to settled, per message.", ("queue",)),
    "receive_ms": MetricDef("timer", "One receive call, long poll included.", ("queue",)),
    "claim_ms": MetricDef("timer", "One claim call of a batch.", ("queue",)),
    "settle_ms": MetricDef("timer", "Settling one batch.", ("queue",)),
    "gateway_ms": MetricDef("timer", "One call of the payment gateway.", ("gateway",)),
    "mail_service_ms": MetricDef("timer", "One call of the mail service.", ("service",)),
    "in_flight": MetricDef("gauge", "Messages received and not settled.", ("queue",)),
    "last_poll_age_s": MetricDef("gauge", "Seconds since SQS last answered.", ("queue",)),
    "outbox_depth": MetricDef("gauge", "Outbox rows waiting for the relay."),
    "outbox_age_s": MetricDef("gauge", "Seconds that the oldest outbox row has waited."),
    "event_loop_lag_ms": MetricDef("gauge", "How late the event loop wakes its tasks."),
    "oldest_unfinished_age_s": MetricDef(
        "gauge",
        "Age of the oldest message at work or gone back, however often it was received.",
        ("queue",),
    ),
    "queue_waiting": MetricDef("gauge", "Messages waiting in the queue.", ("queue",)),
    "dead_letters": MetricDef("gauge", "Messages in its dead-letter queue.", ("queue",)),
    "workers_alive": MetricDef("gauge", "Processes that read the queue.", ("queue",)),
    "backlog_per_worker": MetricDef("gauge", "Waiting messages for each process.", ("queue",)),
    "drain_s": MetricDef("gauge", "Seconds until empty at the pace of now.", ("queue",)),
    "attempts_for_a_human": MetricDef("gauge", "Attempts that only a person can resolve."),
    "accounts_parked": MetricDef("gauge", "Accounts whose billing looked runaway."),
}


class Metrics(Protocol):
    """Where figures go. Tags are those of the metric's definition."""

    def count(self, name: Counter, value: int = 1, **tags: str) -> None:
        """Add to a counter."""
        ...

    def timing(self, name: Timer, ms: float, **tags: str) -> None:
        """Record a duration in milliseconds."""
        ...

    def timings(self, name: Timer, all_ms: Sequence[float], **tags: str) -> None:
        """Record many durations of one series."""
        ...

    def gauge(self, name: Gauge, value: float, **tags: str) -> None:
        """Set a gauge."""
        ...
