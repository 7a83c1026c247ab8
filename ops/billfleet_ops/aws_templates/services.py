"""The services template: per worker a role, a task definition, a service and its scaling.

Made from the queues of the catalogue, the permissions that workers declare, and `sizes`; so a new
worker is a new service. Sweeps get their schedules from `schedules`, operators a role to replay
with.
"""

from collections.abc import Iterable, Iterator

from billfleet_contracts import QUEUES
from billfleet_ops.aws_templates.document import (
    STACK_PARAMETER,
    Part,
    Tag,
    Template,
    Tree,
    attribute,
    imported,
    ref,
    sub,
)
from billfleet_ops.aws_templates.messaging import ARN, HERE, pascal
from billfleet_ops.aws_templates.roles import SENDS_FIGURES, role, statements
from billfleet_ops.aws_templates.tasks import task
from billfleet_ops.schedules import SCHEDULES, Schedule
from billfleet_ops.sizes import OTHERS, Size, size_of
from billfleet_workers.main.fleet_permissions import (
    SWEEPS,
    replay_permissions,
    worker_permissions,
)
from billfleet_workers.main.permissions import Permissions

DESCRIPTION = (
    "billfleet services: per worker a role with exactly what it calls, a task definition, a service"
    " that scales with what waits for each task, and a schedule for every sweep."
)
TASKS = "ecs-tasks.amazonaws.com"
SCHEDULER = "scheduler.amazonaws.com"
LOGS_KEPT_DAYS = 90
SWEEP_DEADLINE_S = 900
SWEEP_TRIES = 3
PARAMETERS: dict[str, Tree] = {
    **STACK_PARAMETER,
    "Environment": {
        "Type": "String",
        "AllowedValues": ["dev", "prod"],
        "Default": "dev",
        "Description": "dev runs one task of each worker, prod at least as many as `sizes` says.",
    },
    "Image": {
        "Type": "String",
        "Description": "The image by digest, for all workers but those that try it first.",
    },
    "CanaryImage": {
        "Type": "String",
        "Description": "The image of the workers that try it first; the same as Image otherwise.",
    },
    "AgentImage": {
        "Type": "String",
        "Description": "The CloudWatch agent, from a repository that private subnets reach.",
    },
    "CpuArchitecture": {
        "Type": "String",
        "AllowedValues": ["ARM64", "X86_64"],
        "Default": "ARM64",
    },
    "PaymentGateway": {"Type": "String", "AllowedValues": ["log", "stripe"], "Default": "log"},
    "PublicUrl": {"Type": "String", "Description": "Where links in mails lead."},
}
MAIL_IDENTITY: Tree = {
    "Type": "String",
    "Description": "The domain or address that mails are from.",
}


def services() -> Template:
    """The template of this version's workers and sweeps."""
    permissions = worker_permissions()
    parts = [*_shared(), *_replay_operator()]
    for worker, allowed in permissions.items():
        parts += _worker(worker, size_of(worker), allowed)
    parts += [*_migration(), *_scheduling()]
    for schedule in SCHEDULES:
        parts += _sweep(schedule)
    outputs: dict[str, Tree] = {
        "ClusterName": {"Description": "Where all tasks run", "Value": ref("Cluster")},
        "MigrationTask": {
            "Description": "Run once per release, before the services are updated",
            "Value": ref("MigrationTask"),
        },
        "ReplayOperatorRoleArn": {
            "Description": "Who replays dead letters takes this role on",
            "Value": attribute("ReplayOperatorRole"),
        },
    }
    sends_mail = any(one.service == "ses" for allowed in permissions.values() for one in allowed)
    return Template(
        DESCRIPTION,
        parts,
        outputs,
        PARAMETERS | ({"MailIdentity": MAIL_IDENTITY} if sends_mail else {}),
        {"IsProd": Tag("Equals", [ref("Environment"), "prod"])},
    )


def _shared() -> Iterator[Part]:
    yield Part(
        "Cluster",
        {
            "Type": "AWS::ECS::Cluster",
            "Properties": {
                "ClusterName": ref("Stack"),
                # Scaling divides what waits by the number of running tasks, which this counts.
                "ClusterSettings": [{"Name": "containerInsights", "Value": "enabled"}],
                "CapacityProviders": ["FARGATE", "FARGATE_SPOT"],
            },
        },
    )
    yield Part(
        "Logs",
        {
            "Type": "AWS::Logs::LogGroup",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {
                "LogGroupName": sub("/billfleet/${Stack}"),
                "RetentionInDays": LOGS_KEPT_DAYS,
                "KmsKeyId": imported("DataKeyArn"),
            },
        },
    )
    yield role("ExecutionRole", TASKS, (), extra=_starts_tasks())


def _starts_tasks() -> list[Tree]:
    """What ECS itself does before a container runs."""
    secrets = ["OwnerSecretArn", "ApplicationSecretArn", "SettingsSecretArn"]
    pulls = ("BatchCheckLayerAvailability", "GetDownloadUrlForLayer", "BatchGetImage")
    return [
        {
            "Sid": "Images",
            "Effect": "Allow",
            "Action": [f"ecr:{action}" for action in pulls],
            "Resource": sub(f"{ARN}:ecr:{HERE}:repository/billfleet*"),
        },
        {
            # A token is for the whole registry: the action knows no resources.
            "Sid": "RegistryToken",
            "Effect": "Allow",
            "Action": ["ecr:GetAuthorizationToken"],
            "Resource": "*",
        },
        {
            "Sid": "Logs",
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": attribute("Logs"),
        },
        {
            "Sid": "Secrets",
            "Effect": "Allow",
            "Action": ["secretsmanager:GetSecretValue"],
            "Resource": [imported(name) for name in secrets],
        },
        {
            "Sid": "SecretsKey",
            "Effect": "Allow",
            "Action": ["kms:Decrypt"],
            "Resource": imported("DataKeyArn"),
        },
    ]


def _worker(worker: str, size: Size, allowed: Permissions) -> Iterator[Part]:
    name = pascal(worker)
    image = ref("CanaryImage" if size.tries_first else "Image")
    yield role(f"{name}Role", TASKS, allowed, extra=[SENDS_FIGURES])
    yield task(
        f"{name}Task",
        ["worker", "run", worker],
        size=size,
        role=f"{name}Role",
        image=image,
        is_worker=True,
    )
    yield _service(worker, size)
    queues = [spec.name for spec in QUEUES.values() if spec.worker == worker]
    if queues:
        yield from _scaling(worker, queues[0], size)


def _service(worker: str, size: Size) -> Part:
    name = pascal(worker)
    base = {"CapacityProvider": "FARGATE", "Base": 1, "Weight": 0 if size.may_wait else 1}
    spot = [{"CapacityProvider": "FARGATE_SPOT", "Weight": 1}] if size.may_wait else []
    return Part(
        f"{name}Service",
        {
            "Type": "AWS::ECS::Service",
            "Properties": {
                "ServiceName": worker,
                "Cluster": ref("Cluster"),
                "TaskDefinition": ref(f"{name}Task"),
                "DesiredCount": _by_environment(1, size.tasks_min),
                "CapacityProviderStrategy": [base, *spot],
                "PropagateTags": "SERVICE",
                "EnableECSManagedTags": True,
                "NetworkConfiguration": {"AwsvpcConfiguration": _network()},
                # New tasks run before old ones drain; both versions work side by side meanwhile.
                "DeploymentConfiguration": {
                    "MinimumHealthyPercent": 100,
                    "MaximumPercent": 200,
                    "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
                },
            },
        },
    )


def _scaling(worker: str, queue: str, size: Size) -> Iterator[Part]:
    name = pascal(worker)
    yield Part(
        f"{name}Scale",
        {
            "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
            "Properties": {
                "ServiceNamespace": "ecs",
                "ScalableDimension": "ecs:service:DesiredCount",
                "ResourceId": sub(f"service/${{Cluster}}/${{{name}Service.Name}}"),
                "MinCapacity": _by_environment(1, size.tasks_min),
                "MaxCapacity": _by_environment(2, size.tasks_max),
            },
        },
    )
    yield Part(
        f"{name}FollowsBacklog",
        {
            "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
            "Properties": {
                "PolicyName": f"{worker}-follows-its-backlog",
                "PolicyType": "TargetTrackingScaling",
                "ScalingTargetId": ref(f"{name}Scale"),
                "TargetTrackingScalingPolicyConfiguration": {
                    "TargetValue": size.backlog_per_task,
                    "ScaleOutCooldown": 60,
                    "ScaleInCooldown": 300,
                    "CustomizedMetricSpecification": {"Metrics": _backlog_per_task(worker, queue)},
                },
            },
        },
        comment=f"{size.messages_per_s:g} messages a second and task, drained in {size.drain_s} s.",
    )


def _backlog_per_task(worker: str, queue: str) -> list[Tree]:
    waiting = {"Name": "QueueName", "Value": sub(f"${{Stack}}-{queue}")}
    cluster = {"Name": "ClusterName", "Value": ref("Cluster")}
    service = {"Name": "ServiceName", "Value": worker}
    return [
        _read("waiting", "AWS/SQS", "ApproximateNumberOfMessagesVisible", [waiting]),
        _read("tasks", "ECS/ContainerInsights", "RunningTaskCount", [cluster, service]),
        {
            "Id": "backlog",
            "Label": "Messages waiting for each task",
            "Expression": "waiting / IF(tasks < 1, 1, tasks)",
            "ReturnData": True,
        },
    ]


def _read(identity: str, namespace: str, metric: str, dimensions: list[Tree]) -> Tree:
    named = {"Namespace": namespace, "MetricName": metric, "Dimensions": dimensions}
    return {
        "Id": identity,
        "MetricStat": {"Metric": named, "Stat": "Average"},
        "ReturnData": False,
    }


def _migration() -> Iterator[Part]:
    """Migrations are a step of their own, as the owner of the schema, before any service."""
    yield role("MigrationRole", TASKS, ())
    yield task(
        "MigrationTask",
        ["migrate"],
        size=OTHERS,
        role="MigrationRole",
        image=ref("CanaryImage"),
        is_owner=True,
    )


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
    network = _network()
    return {
        "Arn": attribute("Cluster"),
        "RoleArn": attribute("SchedulerRole"),
        "EcsParameters": {
            "TaskDefinitionArn": ref(_sweep_task(schedule)),
            "LaunchType": "FARGATE",
            "NetworkConfiguration": {"AwsvpcConfiguration": network},
        },
        "RetryPolicy": {
            "MaximumRetryAttempts": SWEEP_TRIES,
            "MaximumEventAgeInSeconds": SWEEP_DEADLINE_S,
        },
        "DeadLetterConfig": {"Arn": attribute("UnstartedSweeps")},
    }


def _replay_operator() -> Iterator[Part]:
    """A person's role, taken on for a while and with a second factor."""
    people = {"AWS": sub(f"{ARN}:iam::${{AWS::AccountId}}:root")}
    trust = {
        "Effect": "Allow",
        "Principal": people,
        "Action": "sts:AssumeRole",
        "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
    }
    yield Part(
        "ReplayOperatorPolicy",
        {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {
                "Description": "What `billfleet replay-dlq` calls, on this stack alone",
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": _compact(statements(replay_permissions())),
                },
            },
        },
        comment="A managed policy, because an inline one would be too long for this many queues.",
    )
    yield Part(
        "ReplayOperatorRole",
        {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
                "MaxSessionDuration": 3600,
                "ManagedPolicyArns": [ref("ReplayOperatorPolicy")],
            },
        },
    )


def _compact(said: Iterable[Tree]) -> list[Tree]:
    """Statements with the same actions as one: policies are limited to 6,144 characters."""
    by_actions: dict[tuple[str, ...], list[object]] = {}
    for statement in said:
        by_actions.setdefault(tuple(statement["Action"]), []).append(statement["Resource"])
    return [
        {"Sid": f"Part{number}", "Effect": "Allow", "Action": list(actions), "Resource": places}
        for number, (actions, places) in enumerate(by_actions.items(), 1)
    ]


def _network() -> Tree:
    return {
        "AssignPublicIp": "DISABLED",
        "Subnets": [imported("PrivateSubnetA"), imported("PrivateSubnetB")],
        "SecurityGroups": [imported("WorkersGroup")],
    }


def _by_environment(dev: int, prod: int) -> Tag:
    return Tag("If", ["IsProd", prod, dev])
