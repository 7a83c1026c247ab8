"""Schedules of the sweeps: per sweep a clock, a task and a role that sends what it finds.

The services template has them, from the table in `billfleet_ops.schedules`. What could not be
started is put where an alarm sees it.
"""

from collections.abc import Iterator

from billfleet_ops.aws_templates.document import Part, Tree, attribute, ref, sub
from billfleet_ops.aws_templates.messaging import pascal
from billfleet_ops.aws_templates.roles import role
from billfleet_ops.aws_templates.tasks import TASKS, network, task
from billfleet_ops.schedules import SCHEDULES, Schedule
from billfleet_ops.sizes import OTHERS
from billfleet_workers.main.fleet_permissions import SWEEPS

SCHEDULER = "scheduler.amazonaws.com"
SWEEP_DEADLINE_S = 900
SWEEP_TRIES = 3


def sweeps() -> Iterator[Part]:
    """Everything that makes sweeps run on time."""
    yield from _scheduling()
    for schedule in SCHEDULES:
        yield from _sweep(schedule)


def _scheduling() -> Iterator[Part]:
    yield Part(
        "UnstartedSweeps",
        {
            "Type": "AWS::SQS::Queue",
            "Properties": {
                "QueueName": sub("${Stack}-unstarted-sweeps"),
                "MessageRetentionPeriod": 1209600,
                "SqsManagedSseEnabled": True,
            },
        },
        comment="Sweeps that could not be started; an alarm watches it. The next run makes up for"
        "\nthem, so nobody replays these.",
    )
    starts: list[Tree] = [
        {
            "Sid": "StartSweeps",
            "Effect": "Allow",
            "Action": ["ecs:RunTask"],
            "Resource": [ref(_sweep_task(schedule)) for schedule in SCHEDULES],
            "Condition": {"ArnEquals": {"ecs:cluster": attribute("Cluster")}},
        },
        {
            "Sid": "HandOverRoles",
            "Effect": "Allow",
            "Action": ["iam:PassRole"],
            "Resource": [attribute("ExecutionRole"), *map(attribute, map(_sweep_role, SCHEDULES))],
            "Condition": {"StringEquals": {"iam:PassedToService": TASKS}},
        },
        {
            "Sid": "TellWhatDidNotStart",
            "Effect": "Allow",
            "Action": ["sqs:SendMessage"],
            "Resource": attribute("UnstartedSweeps"),
        },
    ]
    yield role("SchedulerRole", SCHEDULER, (), extra=starts)


def _sweep_task(schedule: Schedule) -> str:
    return f"Sweep{pascal(schedule.sweep)}Task"


def _sweep_role(schedule: Schedule) -> str:
    return f"Sweep{pascal(schedule.sweep)}Role"


def _sweep(schedule: Schedule) -> Iterator[Part]:
    yield role(_sweep_role(schedule), TASKS, SWEEPS.get(schedule.sweep, ()))
    yield task(
        _sweep_task(schedule),
        ["sweep", schedule.sweep],
        size=OTHERS,
        role=_sweep_role(schedule),
        image=ref("Image"),
    )
    yield Part(
        f"Sweep{pascal(schedule.sweep)}",
        {
            "Type": "AWS::Scheduler::Schedule",
            "Properties": {
                "Name": sub(f"${{Stack}}-sweep-{schedule.sweep}"),
                "Description": schedule.says,
                "ScheduleExpression": schedule.expression,
                "ScheduleExpressionTimezone": "UTC",
                "FlexibleTimeWindow": {"Mode": "OFF"},
                "Target": _target(schedule),
            },
        },
    )


def _target(schedule: Schedule) -> Tree:
    return {
        "Arn": attribute("Cluster"),
        "RoleArn": attribute("SchedulerRole"),
        "EcsParameters": {
            "TaskDefinitionArn": ref(_sweep_task(schedule)),
            "LaunchType": "FARGATE",
            "NetworkConfiguration": {"AwsvpcConfiguration": network()},
        },
        "RetryPolicy": {
            "MaximumRetryAttempts": SWEEP_TRIES,
            "MaximumEventAgeInSeconds": SWEEP_DEADLINE_S,
        },
        "DeadLetterConfig": {"Arn": attribute("UnstartedSweeps")},
    }
