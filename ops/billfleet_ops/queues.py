"""Figures of the queues and their dead-letter queues, read without receiving a message.

`status` and `doctor` show them. SQS tells counts; ages come from CloudWatch, which AWS has and
the embedded endpoint has not: there an age is unknown. It knows the catalogue and no database.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from billfleet_contracts import QUEUES, QueueSpec
from billfleet_ops.clients import Clients, aws_errors_mapped
from billfleet_ops.resources import NOT_THERE

AGE_METRIC = "ApproximateAgeOfOldestMessage"
AGE_WINDOW = timedelta(minutes=10)
AGE_PERIOD_S = 60


@dataclass(frozen=True)
class QueueFigures:
    """One queue as it is now; the counts are SQS's approximations."""

    name: str
    is_dead_letter: bool
    exists: bool
    waiting: int | None = None
    in_flight: int | None = None
    delayed: int | None = None
    oldest_age_s: float | None = None


def figures(clients: Clients, stack: str, now: datetime) -> list[QueueFigures]:
    """Every queue of the catalogue and its dead-letter queue."""
    with aws_errors_mapped(clients):
        return [
            _figures_of(clients, name, is_dead_letter=is_dead_letter, now=now)
            for name, is_dead_letter in _names(stack)
        ]


@dataclass(frozen=True)
class Backlog:
    """What a queue still has to do, and what of it is dead."""

    open: int
    dead: int


def backlog_of(clients: Clients, stack: str, spec: QueueSpec) -> Backlog:
    """How many messages of one queue wait or are at work, and how many rest in its DLQ."""
    with aws_errors_mapped(clients):
        return Backlog(
            _messages_in(clients, spec.physical_name(stack)),
            _messages_in(clients, spec.dlq_physical_name(stack)),
        )


def _messages_in(clients: Clients, name: str) -> int:
    url = clients.sqs.get_queue_url(QueueName=name)["QueueUrl"]
    said = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    counts: Any = said
    return sum(int(counts[f"ApproximateNumberOfMessages{of}"]) for of in ("", "NotVisible"))


def _names(stack: str) -> Iterator[tuple[str, bool]]:
    for spec in QUEUES.values():
        yield spec.physical_name(stack), False
        yield spec.dlq_physical_name(stack), True


def _figures_of(
    clients: Clients, name: str, *, is_dead_letter: bool, now: datetime
) -> QueueFigures:
    try:
        url = clients.sqs.get_queue_url(QueueName=name)["QueueUrl"]
        answer: Any = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in NOT_THERE:
            raise
        return QueueFigures(name, is_dead_letter, exists=False)
    said = answer["Attributes"]
    return QueueFigures(
        name,
        is_dead_letter,
        exists=True,
        waiting=int(said["ApproximateNumberOfMessages"]),
        in_flight=int(said["ApproximateNumberOfMessagesNotVisible"]),
        delayed=int(said["ApproximateNumberOfMessagesDelayed"]),
        oldest_age_s=_oldest_age_s(clients, name, now),
    )


def oldest_ages(clients: Clients, names: Sequence[str], now: datetime) -> dict[str, float]:
    """The oldest ages that CloudWatch knows, by queue name. It stops at the first refusal."""
    ages: dict[str, float] = {}
    for name in names:
        try:
            age_s = _ask_oldest_age_s(clients, name, now)
        except (BotoCoreError, ClientError):
            return ages
        if age_s is not None:
            ages[name] = age_s
    return ages


def _oldest_age_s(clients: Clients, name: str, now: datetime) -> float | None:
    """The last value that CloudWatch has; None without it, without permission, without data."""
    try:
        return _ask_oldest_age_s(clients, name, now)
    except (BotoCoreError, ClientError):
        return None


def _ask_oldest_age_s(clients: Clients, name: str, now: datetime) -> float | None:
    answer = clients.cloudwatch.get_metric_statistics(
        Namespace="AWS/SQS",
        MetricName=AGE_METRIC,
        Dimensions=[{"Name": "QueueName", "Value": name}],
        StartTime=now - AGE_WINDOW,
        EndTime=now,
        Period=AGE_PERIOD_S,
        Statistics=["Maximum"],
    )
    points = sorted(answer.get("Datapoints", []), key=lambda point: point["Timestamp"])
    return float(points[-1]["Maximum"]) if points else None
