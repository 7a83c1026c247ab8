"""The services template: per worker a role, a task definition, a service and its scaling.

Made from the queues of the catalogue, the permissions that workers declare, and `sizes`; so a new
worker is a new service. Sweeps get their schedules from `schedules`, operators a role to replay
with.
"""

from collections.abc import Iterator

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
from billfleet_ops.aws_templates.front_door import CONDITION, front_door
from billfleet_ops.aws_templates.messaging import ARN, HERE, pascal
from billfleet_ops.aws_templates.operators import replay_operator
from billfleet_ops.aws_templates.roles import SENDS_FIGURES, role
from billfleet_ops.aws_templates.sweeps import sweeps
from billfleet_ops.aws_templates.tasks import TASKS, network, task
from billfleet_ops.sizes import OTHERS, Size, size_of
from billfleet_workers.main.fleet_permissions import worker_permissions
from billfleet_workers.main.permissions import Permissions

DESCRIPTION = (
    "billfleet services: per worker a role with exactly what it calls, a task definition, a service"
    " that scales with what waits for each task, and a schedule for every sweep."
)
LOGS_KEPT_DAYS = 90
PARAMETERS: dict[str, Tree] = {
    **STACK_PARAMETER,
    "Environment": {
        "Type": "String",
        "AllowedValues": ["dev", "prod"],
        "Default": "dev",
        "Description": "dev runs one task of each worker, prod at least as many as `sizes` says.",
    },
    "Running": {
        "Type": "String",
        "AllowedValues": ["yes", "no"],
        "Default": "yes",
        "Description": "no makes everything and starts no worker: before the first migration.",
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
    "CertificateArn": {
        "Type": "String",
        "Default": "",
        "Description": "Of the front door's name; without one there is no front door.",
    },
    "PublicUrl": {"Type": "String", "Description": "Where links in mails lead."},
}
MAIL_IDENTITY: Tree = {
    "Type": "String",
    "Description": "The domain that mails are from, as in mail.yaml.",
}


def services() -> Template:
    """The template of this version's workers and sweeps."""
    permissions = worker_permissions()
    parts = [*_shared(), *replay_operator()]
    for worker, allowed in permissions.items():
        parts += _worker(worker, size_of(worker), allowed)
    parts += [*_migration(), *sweeps(), *front_door()]
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
        {
            "IsProd": Tag("Equals", [ref("Environment"), "prod"]),
            CONDITION: Tag("Not", [Tag("Equals", [ref("CertificateArn"), ""])]),
            "IsRunning": Tag("Equals", [ref("Running"), "yes"]),
        },
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
    secrets = ["OwnerSecretArn", "ApplicationSecretArn", "GatewaySecretArn", "SettingsSecretArn"]
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
                "NetworkConfiguration": {"AwsvpcConfiguration": network()},
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


def _by_environment(dev: int, prod: int) -> Tag:
    return Tag("If", ["IsRunning", Tag("If", ["IsProd", prod, dev]), 0])
