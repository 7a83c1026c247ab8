"""Task definitions: the one image, started as a worker, a sweep or the migration.

The services template puts them beside their services and schedules. Every container runs as
nobody on a read-only file system and gets its secrets from Secrets Manager; figures go to a
CloudWatch agent beside it.
"""

import json
from collections.abc import Sequence
from typing import Any

from billfleet_ops.aws_templates.document import Part, Tag, Tree, attribute, imported, ref, sub
from billfleet_ops.sizes import Size

TASKS = "ecs-tasks.amazonaws.com"
STOP_TIMEOUT_S = 120
"""The most that Fargate grants."""
DRAIN_DEADLINE_S = 100
"""Shorter by what the relay needs after the consumers, and the process to end."""
HEALTH_PORT = 8081
USER = "10001:10001"
PUBLIC_SUBNETS = ("10.0.1.0/24", "10.0.2.0/24")
"""Where the load balancer stands, by network.yaml. Only its word counts for who called: with `*`,
callers would choose the address that their rate is counted by."""
AGENT = {
    "metrics": {
        "namespace": "billfleet",
        "metrics_collected": {
            "statsd": {"service_address": "127.0.0.1:8125", "metrics_collection_interval": 15}
        },
    }
}
LOGIN = (("PGUSER", "username"), ("PGPASSWORD", "password"))
IS_LIVE = f"import urllib.request as u;u.urlopen('http://127.0.0.1:{HEALTH_PORT}/livez', timeout=4)"


def task(
    logical_id: str,
    command: Sequence[str],
    *,
    size: Size,
    role: str,
    image: Any,
    is_worker: bool = False,
    is_owner: bool = False,
    port: int | None = None,
) -> Part:
    """A task definition; a worker is asked for its health, the owner may change the schema.

    One with a port is the front door, which logs in to the database as itself.
    """
    container = _container(command, image, is_worker=is_worker, is_owner=is_owner)
    if port is not None:
        _open_port(container, port)
    return Part(
        logical_id,
        {
            "Type": "AWS::ECS::TaskDefinition",
            "Properties": {
                "Family": sub(f"${{Stack}}-{_family(command)}"),
                "RequiresCompatibilities": ["FARGATE"],
                "NetworkMode": "awsvpc",
                "Cpu": str(size.cpu_units),
                "Memory": str(size.memory_mib),
                "RuntimePlatform": {
                    "CpuArchitecture": ref("CpuArchitecture"),
                    "OperatingSystemFamily": "LINUX",
                },
                "ExecutionRoleArn": attribute("ExecutionRole"),
                "TaskRoleArn": attribute(role),
                "Volumes": [{"Name": "tmp"}],
                "ContainerDefinitions": [container, *([_agent()] if is_worker else [])],
            },
        },
    )


def _family(command: Sequence[str]) -> str:
    return "-".join(word for word in command if word != "run")


def _container(command: Sequence[str], image: Any, *, is_worker: bool, is_owner: bool) -> Tree:
    container: Tree = {
        "Name": "billfleet",
        "Image": image,
        "Command": list(command),
        "Essential": True,
        "User": USER,
        "ReadonlyRootFilesystem": True,
        "LinuxParameters": {
            "InitProcessEnabled": True,
            "Capabilities": {"Drop": ["ALL"]},
        },
        "MountPoints": [{"SourceVolume": "tmp", "ContainerPath": "/tmp"}],  # noqa: S108 - in the container
        "StopTimeout": STOP_TIMEOUT_S,
        "Environment": _environment(is_worker=is_worker),
        "Secrets": _secrets(is_owner=is_owner),
        "LogConfiguration": _logs(_family(command)),
    }
    if is_worker:
        container["HealthCheck"] = {
            "Command": ["CMD", "python", "-c", IS_LIVE],
            "Interval": 15,
            "Timeout": 5,
            "Retries": 4,
            "StartPeriod": 30,
        }
    return container


def _open_port(container: Tree, port: int) -> None:
    container["PortMappings"] = [{"ContainerPort": port}]
    url = next(each for each in container["Environment"] if each["Name"] == "DATABASE_URL")
    container["Environment"] += [
        {"Name": "GATEWAY_DATABASE_URL", "Value": url["Value"]},
        {"Name": "BILLFLEET_HTTP_HOST", "Value": "0.0.0.0"},  # noqa: S104 - in the container
        {"Name": "BILLFLEET_HTTP_TRUSTED_PROXIES", "Value": ",".join(PUBLIC_SUBNETS)},
    ]
    login = [_secret(name, imported("GatewaySecretArn"), key) for name, key in LOGIN]
    settings = imported("SettingsSecretArn")
    container["Secrets"] = [
        *login,
        *container["Secrets"][len(LOGIN) :],
        _secret("BILLFLEET_STRIPE_WEBHOOK_SECRET", settings, "stripe_webhook_secret"),
    ]


def _environment(*, is_worker: bool) -> list[Tree]:
    database = (
        "postgresql://${DatabaseHost}:5432/billfleet"
        "?sslmode=verify-full&sslrootcert=/etc/ssl/certs/rds-global-bundle.pem"
    )
    host = imported("DatabaseHost")
    values: dict[str, Any] = {
        "AWS_REGION": ref("AWS::Region"),
        "BILLFLEET_STACK": ref("Stack"),
        "BILLFLEET_HOME": "/tmp/billfleet",  # noqa: S108 - in the container
        "BILLFLEET_LOG_FORMAT": "json",
        "BILLFLEET_GATEWAY": ref("PaymentGateway"),
        "BILLFLEET_PUBLIC_URL": ref("PublicUrl"),
        "BILLFLEET_MAIL_FROM": Tag("Sub", "billing@${MailIdentity}"),
        # Another address than that of bills, as mailbox providers ask.
        "BILLFLEET_MAIL_MARKETING_FROM": Tag("Sub", "news@${MailIdentity}"),
        "BILLFLEET_MAIL_CONFIGURATION_SET": Tag("Sub", "${Stack}-mail"),
        "DATABASE_URL": Tag("Sub", [database, {"DatabaseHost": host}]),
    }
    if is_worker:
        values |= {
            "BILLFLEET_DRAIN_DEADLINE_S": str(DRAIN_DEADLINE_S),
            "BILLFLEET_HEALTH_PORT": str(HEALTH_PORT),
            "BILLFLEET_STATSD_HOST": "127.0.0.1",
            "BILLFLEET_STATSD_TAGS": "dogstatsd",
        }
    return [{"Name": name, "Value": value} for name, value in values.items()]


def _secrets(*, is_owner: bool) -> list[Tree]:
    """PostgreSQL's own variables: the driver reads them where the URL names no user."""
    database = imported("OwnerSecretArn" if is_owner else "ApplicationSecretArn")
    login = [_secret(name, database, key) for name, key in LOGIN]
    if is_owner:
        # The logins are made by migrations and get their passwords with them.
        return [
            *login,
            _secret("BILLFLEET_APP_PASSWORD", imported("ApplicationSecretArn"), "password"),
            _secret("BILLFLEET_GATEWAY_PASSWORD", imported("GatewaySecretArn"), "password"),
        ]
    settings = imported("SettingsSecretArn")
    return [
        *login,
        _secret("BILLFLEET_LINK_SECRET", settings, "link_secret"),
        _secret("BILLFLEET_STRIPE_API_KEY", settings, "stripe_api_key"),
    ]


def _secret(name: str, arn: Tree, key: str) -> Tree:
    return {"Name": name, "ValueFrom": Tag("Sub", [f"${{Arn}}:{key}::", {"Arn": arn}])}


def _logs(prefix: str) -> Tree:
    return {
        "LogDriver": "awslogs",
        "Options": {
            "awslogs-group": ref("Logs"),
            "awslogs-region": ref("AWS::Region"),
            "awslogs-stream-prefix": prefix,
            # A full buffer loses lines instead of holding up work.
            "mode": "non-blocking",
            "max-buffer-size": "8m",
        },
    }


def _agent() -> Tree:
    return {
        "Name": "figures",
        "Image": ref("AgentImage"),
        "Essential": False,
        "Environment": [{"Name": "CW_CONFIG_CONTENT", "Value": json.dumps(AGENT)}],
        "LogConfiguration": _logs("figures"),
    }


def network() -> Tree:
    """Where tasks run: in private subnets, as members of the workers' security group."""
    return {
        "AssignPublicIp": "DISABLED",
        "Subnets": [imported("PrivateSubnetA"), imported("PrivateSubnetB")],
        "SecurityGroups": [imported("WorkersGroup")],
    }
