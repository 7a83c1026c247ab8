"""Every alarm of the fleet: what is measured, where it begins to matter, and which page helps.

The CloudFormation templates and the dashboards are made from this table. An alarm is a line here
and a page in `ops/runbooks`; a test holds that each names a metric of the registry, with tags that
the metric has. Alarms about AWS itself (CPU, disk, connections) belong to the templates.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from billfleet_ops.runbooks import Runbook
from billfleet_workers.runtime.ports.metrics import Counter, Gauge, Timer

NAMESPACE: Final = "billfleet"
"""Where the CloudWatch agent puts what it hears from statsd."""
Statistic = Literal["sum", "max", "min", "avg"]


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm. It rings when the statistic is beyond the threshold for `periods` in a row."""

    name: str
    says: str
    metric: Counter | Gauge | Timer
    statistic: Statistic
    threshold: float
    runbook: Runbook
    wakes_somebody: bool = False
    """False: it can wait for the morning."""
    per: tuple[str, ...] = ()
    """One alarm for each value of these tags; without any, one for the fleet."""
    where: Mapping[str, str] = field(default_factory=dict)
    where_not: Mapping[str, str] = field(default_factory=dict)
    rings: Literal["above", "below"] = "above"
    period_s: int = 300
    periods: int = 1
    silence: Literal["ok", "breaching"] = "ok"
    """What it means when nothing is heard."""


ALARMS: Final[tuple[Alarm, ...]] = (
    Alarm(
        "dead-letters",
        "Messages rest in a dead-letter queue.",
        "dead_letters",
        "max",
        0,
        Runbook.DEAD_LETTERS,
        per=("queue",),
    ),
    Alarm(
        "poison",
        "Messages of one type are buried faster than now and then.",
        "deliveries",
        "sum",
        20,
        Runbook.DEAD_LETTERS,
        wakes_somebody=True,
        per=("type",),
        where={"outcome": "poison"},
    ),
    Alarm(
        "oldest-unfinished",
        "A message is old and not finished, however often it was received.",
        "oldest_unfinished_age_s",
        "max",
        1800,
        Runbook.QUEUE_BEHIND,
        wakes_somebody=True,
        per=("queue",),
        # An endpoint of a tenant may be down for a day: its deliveries wait and harm nobody.
        where_not={"queue": "webhooks"},
        periods=2,
    ),
    Alarm(
        "drain-slow",
        "What waits will take more than an hour at the pace of now.",
        "drain_s",
        "min",
        3600,
        Runbook.QUEUE_BEHIND,
        wakes_somebody=True,
        per=("queue",),
        periods=3,
    ),
    Alarm(
        "backlog-per-worker",
        "More waits for each process than it does in a few minutes.",
        "backlog_per_worker",
        "avg",
        5000,
        Runbook.QUEUE_BEHIND,
        per=("queue",),
        periods=2,
    ),
    Alarm(
        "no-worker",
        "No process reads a queue.",
        "workers_alive",
        "max",
        1,
        Runbook.NO_WORKER,
        wakes_somebody=True,
        per=("queue",),
        rings="below",
        silence="breaching",
    ),
    Alarm(
        "retries",
        "Many deliveries end in a retry.",
        "deliveries",
        "sum",
        500,
        Runbook.MANY_RETRIES,
        per=("queue",),
        where={"outcome": "retry"},
        periods=2,
    ),
    Alarm(
        "duplicates",
        "Much work arrives that was done already.",
        "deliveries",
        "sum",
        5000,
        Runbook.MANY_DUPLICATES,
        per=("queue",),
        where={"outcome": "duplicate"},
        periods=2,
    ),
    Alarm(
        "leases-lost",
        "Workers lose their claims while they work.",
        "leases_lost",
        "sum",
        10,
        Runbook.LEASES_LOST,
        per=("queue",),
    ),
    Alarm(
        "loop-lag",
        "A process's event loop is blocked for seconds.",
        "event_loop_lag_ms",
        "max",
        2000,
        Runbook.WORKER_UNWELL,
        periods=2,
    ),
    Alarm(
        "side-tasks",
        "Side tasks of a process die again and again.",
        "side_task_restarts",
        "sum",
        3,
        Runbook.WORKER_UNWELL,
        per=("task",),
    ),
    Alarm(
        "poll-silent",
        "SQS has not answered a receive for longer than a long poll can last.",
        "last_poll_age_s",
        "min",
        90,
        Runbook.RECEIVING_PAUSED,
        wakes_somebody=True,
        per=("queue",),
    ),
    Alarm(
        "receive-failures",
        "Receives fail.",
        "receive_failures",
        "sum",
        20,
        Runbook.RECEIVING_PAUSED,
        wakes_somebody=True,
        per=("queue",),
    ),
    Alarm(
        "dedupe-away",
        "The dedupe store could not be asked.",
        "dedupe_unavailable",
        "sum",
        10,
        Runbook.RECEIVING_PAUSED,
        wakes_somebody=True,
        per=("queue",),
    ),
    Alarm(
        "outbox-old",
        "Committed events wait in the outbox.",
        "outbox_age_s",
        "max",
        300,
        Runbook.OUTBOX_GROWING,
        wakes_somebody=True,
    ),
    Alarm(
        "outbox-refused",
        "SQS or SNS refuses events of the outbox.",
        "outbox_failures",
        "sum",
        0,
        Runbook.OUTBOX_GROWING,
        per=("route",),
    ),
    Alarm(
        "attempts-for-a-human",
        "Payments whose outcome only a person can find out.",
        "attempts_for_a_human",
        "max",
        0,
        Runbook.ATTEMPTS_FOR_A_HUMAN,
    ),
    Alarm(
        "accounts-parked",
        "Accounts whose billing looked runaway.",
        "accounts_parked",
        "max",
        0,
        Runbook.ACCOUNT_PARKED,
    ),
)


def cloudwatch_name(metric: Counter | Gauge | Timer) -> str:
    """The metric's name there: the CloudWatch agent writes the dots of statsd as underscores."""
    return f"billfleet_{metric}"


def cloudwatch_query(alarm: Alarm) -> str:
    """The alarm's measure as a Metrics Insights query; with `per`, one series for each value.

    It asks the whole namespace: the agent adds dimensions of its own (`metric_type`, `host`), and a
    schema would only match metrics that have exactly those that it names.
    """
    named = cloudwatch_name(alarm.metric)
    # Made of constants of this table, and sent to CloudWatch, not to a database.
    query = f'SELECT {alarm.statistic.upper()}("{named}") FROM "{NAMESPACE}"'  # noqa: S608 - as said
    conditions = [f"{tag} = '{value}'" for tag, value in sorted(alarm.where.items())]
    conditions += [f"{tag} != '{value}'" for tag, value in sorted(alarm.where_not.items())]
    if conditions:
        query += f" WHERE {' AND '.join(conditions)}"
    if alarm.per:
        query += f" GROUP BY {', '.join(alarm.per)}"
    return query
