"""The bill of a month for one environment at stated volumes, line by line.

`billfleet deploy plan` prints it. Amounts come from the templates' own sizes, prices from the
price file. It asks nothing of AWS, and leaves out what it does not name.
"""

from dataclasses import dataclass
from typing import Final, Literal

from billfleet_contracts import QUEUES
from billfleet_ops.alarms import ALARMS
from billfleet_ops.capacity import MILLION, PerMessage
from billfleet_ops.prices import Prices
from billfleet_ops.sizes import Size, size_of
from billfleet_workers.main import WORKERS

Environment = Literal["dev", "prod"]
HOURS: Final = 730
INTERFACE_ENDPOINTS: Final = 9
SECRETS: Final = 4
KEYS: Final = 2
AWS_ALARMS_PER_QUEUE: Final = 2
METRICS_PER_QUEUE: Final = 12
LOG_BYTES_PER_MESSAGE: Final = 400
MESSAGE_BYTES: Final = 2_000
RDS: Final = {
    "dev": ("db.t4g.micro", 20, 1),
    "prod": ("db.t4g.medium", 20, 2),
}
"""Class, GiB and number of zones, as `ops/aws/database.yaml` has them; a test compares."""


@dataclass(frozen=True, slots=True)
class Volumes:
    """What a month brings."""

    messages: int
    mails: int
    files_gib: float


VOLUMES: Final = {
    "dev": Volumes(messages=1_000_000, mails=1_000, files_gib=1),
    "prod": Volumes(messages=30_000_000, mails=300_000, files_gib=50),
}


@dataclass(frozen=True, slots=True)
class Cost:
    """One line of the bill."""

    service: str
    configuration: str
    usd: float


def monthly_costs(environment: Environment, volumes: Volumes, prices: Prices) -> list[Cost]:
    """Every line, in the order of the templates."""
    return [
        *_network(environment, volumes, prices),
        _database(environment, prices),
        *_messages(volumes, prices),
        _tasks(environment, prices),
        *_watching(volumes, prices),
        _files(volumes, prices),
        Cost("SES", f"{volumes.mails:,} mails", volumes.mails / 1000 * prices.ses_thousand),
        Cost("ECR", "5 GiB of images", 5 * prices.ecr_gib_month),
    ]


def _network(environment: Environment, volumes: Volumes, prices: Prices) -> list[Cost]:
    zones = 2 if environment == "prod" else 1
    gib = volumes.messages * MESSAGE_BYTES / 2**30
    endpoints = INTERFACE_ENDPOINTS * zones
    return [
        Cost("NAT gateway", "one", HOURS * prices.nat_hour + gib * prices.nat_gib),
        Cost(
            "Interface endpoints",
            f"{INTERFACE_ENDPOINTS} services in {zones} zone{'s' if zones > 1 else ''}",
            endpoints * HOURS * prices.endpoint_hour,
        ),
    ]


def _database(environment: Environment, prices: Prices) -> Cost:
    name, gib, zones = RDS[environment]
    hours = HOURS * prices.rds_hour[name] * zones
    storage = gib * zones * prices.rds_gib_month
    return Cost(
        "RDS PostgreSQL",
        f"{name}, {gib} GiB, {zones} zone{'s' if zones > 1 else ''}",
        hours + storage,
    )


def _messages(volumes: Volumes, prices: Prices) -> list[Cost]:
    one = PerMessage()
    calls = volumes.messages * (one.send_calls + one.receive_and_delete_calls)
    # An empty queue is asked every twenty seconds, by one receiver of each task.
    calls += len(QUEUES) * HOURS * 3600 / 20
    writes = volumes.messages * one.claim_writes
    publishes = volumes.messages * 0.5
    return [
        Cost(
            "SQS", f"{calls / MILLION:,.1f} M calls", calls / MILLION * prices.sqs_million_requests
        ),
        Cost(
            "SNS",
            f"{publishes / MILLION:,.1f} M facts",
            publishes / MILLION * prices.sns_million_publishes,
        ),
        Cost(
            "DynamoDB",
            f"{writes / MILLION:,.1f} M writes on demand",
            writes / MILLION * prices.dynamodb_million_writes,
        ),
    ]


def _tasks(environment: Environment, prices: Prices) -> Cost:
    sizes = [size_of(worker) for worker in WORKERS]
    counted = [(size, size.tasks_min if environment == "prod" else 1) for size in sizes]
    usd = sum(count * HOURS * _task_hour(size, prices) for size, count in counted)
    return Cost("ECS Fargate", f"{sum(count for _, count in counted)} tasks at rest", usd)


def _task_hour(size: Size, prices: Prices) -> float:
    cpu = size.cpu_units / 1024 * prices.fargate_vcpu_hour
    return cpu + size.memory_mib / 1024 * prices.fargate_gib_hour


def _watching(volumes: Volumes, prices: Prices) -> list[Cost]:
    alarms = len(ALARMS) + len(QUEUES) * AWS_ALARMS_PER_QUEUE + len(WORKERS) + 5
    metrics = len(QUEUES) * METRICS_PER_QUEUE
    gib = volumes.messages * LOG_BYTES_PER_MESSAGE / 2**30
    return [
        Cost("CloudWatch alarms", f"{alarms}", alarms * prices.alarm_month),
        Cost(
            "CloudWatch figures",
            f"about {metrics} series, one dashboard",
            metrics * prices.metric_month + prices.dashboard_month,
        ),
        Cost("CloudWatch logs", f"{gib:.1f} GiB", gib * prices.logs_gib),
        Cost(
            "Secrets and keys",
            f"{SECRETS} secrets, {KEYS} keys",
            SECRETS * prices.secret_month + KEYS * prices.key_month,
        ),
    ]


def _files(volumes: Volumes, prices: Prices) -> Cost:
    return Cost(
        "S3", f"{volumes.files_gib:g} GiB of files", volumes.files_gib * prices.s3_gib_month
    )
