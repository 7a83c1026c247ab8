"""The observability template: alarms, each with its page, two topics for people, one dashboard.

Alarms about the fleet come from the table in `billfleet_ops.alarms`; those about AWS itself (the
database, tasks, queues, sweeps) are told here. Whoever adds one names its runbook.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from billfleet_contracts import QUEUES
from billfleet_ops.alarms import ALARMS, NAMESPACE, Alarm, cloudwatch_name, cloudwatch_query
from billfleet_ops.aws_templates.dashboard import dashboard
from billfleet_ops.aws_templates.document import (
    STACK_PARAMETER,
    Part,
    Tag,
    Template,
    Tree,
    imported,
    ref,
    sub,
)
from billfleet_ops.aws_templates.messaging import ARN, pascal
from billfleet_ops.runbooks import Runbook
from billfleet_workers.main.fleet_permissions import worker_permissions

DESCRIPTION = (
    "billfleet observability: alarms that each name the page to read, a topic for what wakes"
    " somebody and one for the morning, and a dashboard of queues, dead letters and errors."
)
CPU_PERCENT_MAX = 80
CONNECTIONS_SHARE_MAX = 0.8
DISK_FREE_SHARE_MIN = 0.2
ERROR_PERCENT_MAX = 5
OLDEST_S_MAX = 1800
GIB = 2**30
# What RDS grants by default: memory of the class / 9,531,392 bytes.
CONNECTIONS = {"dev": 112, "prod": 450}
STORAGE_GIB = {"dev": 20, "prod": 20}
PARAMETERS: dict[str, Tree] = {
    **STACK_PARAMETER,
    "Environment": {"Type": "String", "AllowedValues": ["dev", "prod"], "Default": "dev"},
    "Pages": {
        "Type": "String",
        "Description": "Where the runbooks can be read, up to the folder that has ops in it.",
        "Default": "https://example.invalid/billfleet",
    },
}
MAPPINGS = {
    "Database": {
        environment: {
            "Connections": round(CONNECTIONS[environment] * CONNECTIONS_SHARE_MAX),
            "DiskFreeBytes": round(STORAGE_GIB[environment] * GIB * DISK_FREE_SHARE_MIN),
        }
        for environment in CONNECTIONS
    }
}


@dataclass(frozen=True)
class Watch:
    """An alarm on a metric of AWS itself."""

    name: str
    says: str
    namespace: str
    metric: str
    dimensions: Sequence[tuple[str, object]]
    threshold: object
    runbook: Runbook
    rings: str = "GreaterThanThreshold"
    statistic: str = "Average"
    period_s: int = 300
    periods: int = 2
    wakes_somebody: bool = False
    silence: str = "notBreaching"


def observability() -> Template:
    """The template of this version's alarms."""
    parts = [*_topics()]
    parts += [_fleet_alarm(alarm) for alarm in ALARMS]
    parts.append(_error_rate())
    parts += [_watch(watch) for watch in watches()]
    parts.append(dashboard())
    outputs: dict[str, Tree] = {
        "WakingTopicArn": {"Description": "Subscribe who is on call", "Value": ref("Waking")},
        "MorningTopicArn": {"Description": "Subscribe the team", "Value": ref("Morning")},
    }
    return Template(DESCRIPTION, parts, outputs, PARAMETERS, mappings=MAPPINGS)


def watches() -> Iterator[Watch]:
    """Every alarm about AWS itself."""
    yield from _database_watches()
    for worker in worker_permissions():
        yield Watch(
            f"cpu-{worker}",
            f"The tasks of {worker} use more than {CPU_PERCENT_MAX} % of their CPU.",
            "AWS/ECS",
            "CPUUtilization",
            [("ClusterName", ref("Stack")), ("ServiceName", worker)],
            CPU_PERCENT_MAX,
            Runbook.QUEUE_BEHIND,
            periods=3,
        )
    for spec in QUEUES.values():
        yield _queue_watch(
            f"letters-in-{spec.dlq_name.replace('.', '-')}",
            f"Messages rest in the dead-letter queue of {spec.name}.",
            "ApproximateNumberOfMessagesVisible",
            spec.dlq_name,
            0,
            Runbook.DEAD_LETTERS,
        )
        yield _queue_watch(
            f"oldest-in-{spec.name.replace('.', '-')}",
            f"A message waits in {spec.name} for more than {OLDEST_S_MAX} s.",
            "ApproximateAgeOfOldestMessage",
            spec.name,
            OLDEST_S_MAX,
            Runbook.QUEUE_BEHIND,
        )
    yield _queue_watch(
        "sweeps-not-started",
        "A sweep could not be started.",
        "ApproximateNumberOfMessagesVisible",
        "unstarted-sweeps",
        0,
        Runbook.SWEEP_NOT_STARTED,
    )


def _database_watches() -> Iterator[Watch]:
    instance = [("DBInstanceIdentifier", imported("DatabaseName"))]

    def database(name: str, says: str, metric: str, threshold: object, rings: str) -> Watch:
        return Watch(
            name,
            says,
            "AWS/RDS",
            metric,
            instance,
            threshold,
            Runbook.DATABASE_STRAINED,
            rings=rings,
            periods=3,
            wakes_somebody=True,
        )

    above, below = "GreaterThanThreshold", "LessThanThreshold"
    connections, disk = _of_database("Connections"), _of_database("DiskFreeBytes")
    yield database(
        "database-cpu",
        f"PostgreSQL uses more than {CPU_PERCENT_MAX} % of its CPU.",
        "CPUUtilization",
        CPU_PERCENT_MAX,
        above,
    )
    yield database(
        "database-connections",
        "More than 80 % of PostgreSQL's connections are taken.",
        "DatabaseConnections",
        connections,
        above,
    )
    yield database(
        "database-disk",
        "Less than 20 % of PostgreSQL's disk is free.",
        "FreeStorageSpace",
        disk,
        below,
    )


def _of_database(key: str) -> Tag:
    return Tag("FindInMap", ["Database", ref("Environment"), key])


def _queue_watch(
    name: str, says: str, metric: str, queue: str, threshold: int, runbook: Runbook
) -> Watch:
    return Watch(
        name,
        says,
        "AWS/SQS",
        metric,
        [("QueueName", sub(f"${{Stack}}-{queue}"))],
        threshold,
        runbook,
        statistic="Maximum",
        period_s=60,
        periods=5,
    )


def _topics() -> Iterator[Part]:
    """CloudWatch may not use the key that AWS owns for SNS, so the topics have one of ours."""
    for logical_id, name in (("Waking", "waking"), ("Morning", "morning")):
        yield Part(
            logical_id,
            {
                "Type": "AWS::SNS::Topic",
                "Properties": {
                    "TopicName": sub(f"${{Stack}}-{name}"),
                    "KmsMasterKeyId": ref("AlarmKey"),
                },
            },
        )
    yield Part(
        "AlarmKey",
        {
            "Type": "AWS::KMS::Key",
            "Properties": {
                "EnableKeyRotation": True,
                "KeyPolicy": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Sid": "AccountDecides",
                            "Effect": "Allow",
                            "Principal": {"AWS": sub(f"{ARN}:iam::${{AWS::AccountId}}:root")},
                            "Action": "kms:*",
                            "Resource": "*",
                        },
                        {
                            "Sid": "AlarmsMaySpeak",
                            "Effect": "Allow",
                            "Principal": {"Service": "cloudwatch.amazonaws.com"},
                            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                            "Resource": "*",
                            "Condition": {
                                "StringEquals": {"aws:SourceAccount": ref("AWS::AccountId")}
                            },
                        },
                    ],
                },
            },
        },
        comment="A key without its account can lock it out; in a key policy `*` is this key.",
    )


def _fleet_alarm(alarm: Alarm) -> Part:
    rings = "GreaterThanThreshold" if alarm.rings == "above" else "LessThanThreshold"
    query = {
        "Id": "q",
        "Expression": cloudwatch_query(alarm),
        "Period": alarm.period_s,
        "ReturnData": True,
    }
    return _alarm(
        alarm.name,
        alarm.says,
        alarm.runbook,
        wakes_somebody=alarm.wakes_somebody,
        measure={
            "Metrics": [query],
            "Threshold": alarm.threshold,
            "ComparisonOperator": rings,
            "EvaluationPeriods": alarm.periods,
            "TreatMissingData": "notBreaching" if alarm.silence == "ok" else "breaching",
        },
    )


def _error_rate() -> Part:
    """Deliveries that did not end well, of all; duplicates did."""
    name = cloudwatch_name("deliveries")
    # As in `cloudwatch_query`: made of constants, and without a schema, which would find nothing.
    everything = f'SELECT SUM("{name}") FROM "{NAMESPACE}"'  # noqa: S608 - as said

    def query(identity: str, where: str = "") -> Tree:
        return {
            "Id": identity,
            "Expression": everything + where,
            "Period": 300,
            "ReturnData": False,
        }

    rate = {
        "Id": "rate",
        "Label": "Failed deliveries, %",
        "Expression": "100 * (FILL(retried, 0) + FILL(buried, 0)) / ended",
        "ReturnData": True,
    }
    metrics = [
        query("ended"),
        query("retried", " WHERE outcome = 'retry'"),
        query("buried", " WHERE outcome = 'poison'"),
        rate,
    ]
    return _alarm(
        "error-rate",
        f"More than {ERROR_PERCENT_MAX} % of deliveries end in a retry or a dead letter.",
        Runbook.MANY_RETRIES,
        wakes_somebody=True,
        measure={
            "Metrics": metrics,
            "Threshold": ERROR_PERCENT_MAX,
            "ComparisonOperator": "GreaterThanThreshold",
            "EvaluationPeriods": 2,
            "TreatMissingData": "notBreaching",
        },
    )


def _watch(watch: Watch) -> Part:
    return _alarm(
        watch.name,
        watch.says,
        watch.runbook,
        wakes_somebody=watch.wakes_somebody,
        measure={
            "Namespace": watch.namespace,
            "MetricName": watch.metric,
            "Dimensions": [{"Name": name, "Value": value} for name, value in watch.dimensions],
            "Statistic": watch.statistic,
            "Period": watch.period_s,
            "Threshold": watch.threshold,
            "ComparisonOperator": watch.rings,
            "EvaluationPeriods": watch.periods,
            "TreatMissingData": watch.silence,
        },
    )


def _alarm(name: str, says: str, runbook: Runbook, *, wakes_somebody: bool, measure: Tree) -> Part:
    tells = [ref("Waking" if wakes_somebody else "Morning")]
    return Part(
        f"{pascal(name)}Alarm",
        {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "AlarmName": sub(f"${{Stack}}-{name}"),
                "AlarmDescription": sub(f"{says} ${{Pages}}/{runbook}"),
                "AlarmActions": tells,
                "OKActions": tells,
                **measure,
            },
        },
    )
