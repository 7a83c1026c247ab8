"""The HTTP front door on AWS: a load balancer with a firewall before it, a service behind it.

The services template has it, where a certificate is given. Only the load balancer is reached from
outside; the service has a role and a database login of its own.
"""

from collections.abc import Iterator

from billfleet_ops.aws_templates.document import Part, Tree, attribute, imported, ref, sub
from billfleet_ops.aws_templates.roles import role
from billfleet_ops.aws_templates.tasks import TASKS, network, task
from billfleet_ops.sizes import FRONT_DOOR
from billfleet_workers.main.fleet_permissions import front_door_permissions

CONDITION = "HasFrontDoor"
PORT = 8080
REQUESTS_PER_5_MIN_MAX = 10_000
MANAGED_RULES = ("AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet")


def front_door() -> Iterator[Part]:
    """Everything of it; nothing of it is made without a certificate."""
    yield _conditional(role("FrontDoorRole", TASKS, front_door_permissions()))
    yield _conditional(
        task(
            "FrontDoorTask",
            ["gateway"],
            size=FRONT_DOOR,
            role="FrontDoorRole",
            image=ref("Image"),
            port=PORT,
        )
    )
    yield _part("FrontDoor", "AWS::ElasticLoadBalancingV2::LoadBalancer", _load_balancer())
    yield _part("FrontDoorTargets", "AWS::ElasticLoadBalancingV2::TargetGroup", _targets())
    yield _part("FrontDoorListener", "AWS::ElasticLoadBalancingV2::Listener", _listener())
    yield _part("FrontDoorFirewall", "AWS::WAFv2::WebACL", _firewall())
    yield _part(
        "FrontDoorFirewallInPlace",
        "AWS::WAFv2::WebACLAssociation",
        {"ResourceArn": ref("FrontDoor"), "WebACLArn": attribute("FrontDoorFirewall")},
    )
    service = _part("FrontDoorService", "AWS::ECS::Service", _service())
    service.body["DependsOn"] = "FrontDoorListener"
    yield service


def _load_balancer() -> Tree:
    attributes = {
        "routing.http.drop_invalid_header_fields.enabled": "true",
        "deletion_protection.enabled": "true",
        # Streams of events send a line every few seconds.
        "idle_timeout.timeout_seconds": "120",
    }
    return {
        "Name": sub("${Stack}-front-door"),
        "Scheme": "internet-facing",
        "Type": "application",
        "Subnets": [imported("PublicSubnetA"), imported("PublicSubnetB")],
        "SecurityGroups": [imported("LoadBalancerGroup")],
        "LoadBalancerAttributes": [
            {"Key": key, "Value": value} for key, value in attributes.items()
        ],
    }


def _targets() -> Tree:
    return {
        "VpcId": imported("Vpc"),
        "TargetType": "ip",
        "Protocol": "HTTP",
        "Port": PORT,
        "HealthCheckPath": "/readyz",
        "HealthCheckIntervalSeconds": 30,
        "HealthCheckTimeoutSeconds": 5,
        "HealthyThresholdCount": 2,
        "UnhealthyThresholdCount": 3,
        "TargetGroupAttributes": [
            {"Key": "deregistration_delay.timeout_seconds", "Value": "60"},
        ],
    }


def _listener() -> Tree:
    return {
        "LoadBalancerArn": ref("FrontDoor"),
        "Port": 443,
        "Protocol": "HTTPS",
        "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
        "Certificates": [{"CertificateArn": ref("CertificateArn")}],
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": ref("FrontDoorTargets")}],
    }


def _firewall() -> Tree:
    managed = [
        {
            "Name": name,
            "Priority": priority,
            "OverrideAction": {"None": {}},
            "Statement": {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": name}},
            "VisibilityConfig": _seen(name),
        }
        for priority, name in enumerate(MANAGED_RULES, 1)
    ]
    rate = {
        "Name": "OneAddressAtATime",
        "Priority": 0,
        "Action": {"Block": {}},
        "Statement": {
            "RateBasedStatement": {"Limit": REQUESTS_PER_5_MIN_MAX, "AggregateKeyType": "IP"}
        },
        "VisibilityConfig": _seen("OneAddressAtATime"),
    }
    return {
        "Name": sub("${Stack}-front-door"),
        "Scope": "REGIONAL",
        "DefaultAction": {"Allow": {}},
        "VisibilityConfig": _seen("FrontDoor"),
        "Rules": [rate, *managed],
    }


def _seen(name: str) -> Tree:
    return {
        "CloudWatchMetricsEnabled": True,
        "SampledRequestsEnabled": True,
        "MetricName": name,
    }


def _service() -> Tree:
    inside = network() | {"SecurityGroups": [imported("FrontEndGroup")]}
    return {
        "ServiceName": "front-door",
        "Cluster": ref("Cluster"),
        "TaskDefinition": ref("FrontDoorTask"),
        "DesiredCount": FRONT_DOOR.tasks_min,
        "CapacityProviderStrategy": [{"CapacityProvider": "FARGATE", "Base": 1, "Weight": 1}],
        "HealthCheckGracePeriodSeconds": 30,
        "NetworkConfiguration": {"AwsvpcConfiguration": inside},
        "LoadBalancers": [
            {
                "ContainerName": "billfleet",
                "ContainerPort": PORT,
                "TargetGroupArn": ref("FrontDoorTargets"),
            }
        ],
        "DeploymentConfiguration": {
            "MinimumHealthyPercent": 100,
            "MaximumPercent": 200,
            "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
        },
    }


def _part(logical_id: str, kind: str, properties: Tree) -> Part:
    return Part(logical_id, {"Type": kind, "Condition": CONDITION, "Properties": properties})


def _conditional(part: Part) -> Part:
    body = {"Type": part.body["Type"], "Condition": CONDITION, **part.body}
    return Part(part.logical_id, body, part.comment)
