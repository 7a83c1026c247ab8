"""Compares what exists on AWS with what the templates promise.

`doctor` reports the differences; `local.deploy` also corrects those that the emulator left out.
A difference is a value. It reads attributes only, and never receives a message.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from botocore.exceptions import ClientError

from billfleet_ops.buckets import BUCKET_ATTRIBUTES, correct_bucket, read_bucket
from billfleet_ops.clients import Clients, aws_errors_mapped
from billfleet_ops.templates import TEMPLATE_NAMES, Place, Resource, resources_of

MISSING = "missing"
QUEUE_ATTRIBUTES = {
    "FifoQueue",
    "DeduplicationScope",
    "FifoThroughputLimit",
    "VisibilityTimeout",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "MaximumMessageSize",
    "SqsManagedSseEnabled",
    "RedrivePolicy",
    "RedriveAllowPolicy",
}
NOT_THERE = {
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
    "NotFound",
    "NotFoundException",
    "ResourceNotFoundException",
    "TableNotFoundException",
    "NoSuchBucket",
    "404",
}


@dataclass(frozen=True)
class Difference:
    """One attribute of one resource that is not as its template says."""

    resource: Resource
    name: str
    """The physical name of the queue, topic, table or bucket."""
    attribute: str
    """The attribute, or the resource itself when it is missing."""
    promised: str
    found: str

    def __str__(self) -> str:
        if self.found == MISSING and self.attribute == self.name:
            return f"{self.name} does not exist"
        return f"{self.name}: {self.attribute} is {self.found}, the template says {self.promised}"

    @property
    def is_missing(self) -> bool:
        """Whether the whole resource is absent."""
        return self.attribute == self.name


def place_of(clients: Clients, stack: str) -> Place:
    """Where the stack lives, as the credentials say."""
    with aws_errors_mapped(clients):
        identity = clients.sts.get_caller_identity()
    partition = identity["Arn"].split(":")[1]
    return Place(stack, clients.region, identity["Account"], partition)


def promised(place: Place) -> list[Resource]:
    """Every queue, topic, table, bucket and subscription of the templates."""
    kinds = (QUEUE, TOPIC, TABLE, BUCKET, SUBSCRIPTION)
    return [
        resource
        for name in TEMPLATE_NAMES
        for resource in resources_of(name, place)
        if resource.kind in kinds
    ]


def differences(clients: Clients, place: Place) -> list[Difference]:
    """All differences between the templates and what exists, in template order."""
    return [found for resource in promised(place) for found in check(clients, resource)]


def check(clients: Clients, resource: Resource) -> list[Difference]:
    """The differences of one resource."""
    name = physical_name(resource)
    with aws_errors_mapped(clients):
        try:
            actual = READERS[resource.kind](clients, name)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in NOT_THERE:
                raise
            return [Difference(resource, name, name, "to exist", MISSING)]
    return [
        Difference(resource, name, attribute, _shown(wanted), _shown(actual.get(attribute)))
        for attribute, wanted in wanted_attributes(resource)
        if _comparable(actual.get(attribute)) != _comparable(wanted)
    ]


def correct(clients: Clients, difference: Difference) -> bool:
    """Set one attribute as its template says; False when there is no call that could."""
    properties = difference.resource.properties
    with aws_errors_mapped(clients):
        if difference.is_missing:
            return False
        if difference.resource.kind == QUEUE:
            url = clients.sqs.get_queue_url(QueueName=difference.name)["QueueUrl"]
            wanted = queue_attribute(properties[difference.attribute])
            attributes = cast("dict[Any, str]", {difference.attribute: wanted})
            clients.sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
            return True
        if difference.resource.kind == BUCKET:
            wanted = properties[difference.attribute]
            return correct_bucket(clients.s3, difference.name, difference.attribute, wanted)
        if difference.attribute == "TimeToLiveSpecification":
            clients.dynamodb.update_time_to_live(
                TableName=difference.name,
                TimeToLiveSpecification=properties["TimeToLiveSpecification"],
            )
            return True
        if difference.attribute == "PointInTimeRecoverySpecification":
            clients.dynamodb.update_continuous_backups(
                TableName=difference.name,
                PointInTimeRecoverySpecification=properties["PointInTimeRecoverySpecification"],
            )
            return True
    return False


def physical_name(resource: Resource) -> str:
    """The name under which the resource exists; a subscription has that of its queue's ARN."""
    if resource.kind == SUBSCRIPTION:
        return f"{resource.properties['TopicArn']} to {resource.properties['Endpoint']}"
    names = {
        QUEUE: "QueueName",
        TOPIC: "TopicName",
        TABLE: "TableName",
        BUCKET: "BucketName",
    }
    return str(resource.properties[names[resource.kind]])


def queue_attribute(value: Any) -> str:
    """A template property in the form in which the SQS API takes and gives it."""
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, dict) else str(value)


def wanted_attributes(resource: Resource) -> Iterator[tuple[str, Any]]:
    """The attributes of the template that can be read back."""
    for attribute, value in resource.properties.items():
        if resource.kind == QUEUE and attribute in QUEUE_ATTRIBUTES:
            yield attribute, queue_attribute(value)
        elif attribute in READABLE.get(resource.kind, ()):
            yield attribute, value
        elif resource.kind == SUBSCRIPTION and attribute in SUBSCRIPTION_ATTRIBUTES:
            yield attribute, queue_attribute(value)


def _queue(clients: Clients, name: str) -> Mapping[str, Any]:
    url = clients.sqs.get_queue_url(QueueName=name)["QueueUrl"]
    answer = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    return cast("Mapping[str, Any]", answer.get("Attributes", {}))


def _topic(clients: Clients, name: str) -> Mapping[str, Any]:
    identity = clients.sts.get_caller_identity()
    partition = identity["Arn"].split(":")[1]
    arn = f"arn:{partition}:sns:{clients.region}:{identity['Account']}:{name}"
    return clients.sns.get_topic_attributes(TopicArn=arn)["Attributes"]


def _subscription(clients: Clients, name: str) -> Mapping[str, Any]:
    topic, endpoint = name.split(" to ")
    pages = clients.sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    for page in pages:
        for found in page["Subscriptions"]:
            if found["Endpoint"] == endpoint:
                answer = clients.sns.get_subscription_attributes(
                    SubscriptionArn=found["SubscriptionArn"]
                )
                return answer["Attributes"]
    raise ClientError({"Error": {"Code": "NotFound"}}, "ListSubscriptionsByTopic")


def _table(clients: Clients, name: str) -> Mapping[str, Any]:
    table = clients.dynamodb.describe_table(TableName=name)["Table"]
    ttl = clients.dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    backups = clients.dynamodb.describe_continuous_backups(TableName=name)
    recovery = backups["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    return {
        "KeySchema": table.get("KeySchema"),
        "AttributeDefinitions": table.get("AttributeDefinitions"),
        "GlobalSecondaryIndexes": _indexes(table.get("GlobalSecondaryIndexes", ())),
        "BillingMode": table.get("BillingModeSummary", {}).get("BillingMode"),
        "TimeToLiveSpecification": {
            "AttributeName": ttl.get("AttributeName"),
            "Enabled": ttl.get("TimeToLiveStatus") in {"ENABLED", "ENABLING"},
        },
        "PointInTimeRecoverySpecification": {
            "PointInTimeRecoveryEnabled": recovery.get("PointInTimeRecoveryStatus") == "ENABLED"
        },
    }


def _bucket(clients: Clients, name: str) -> Mapping[str, Any]:
    return read_bucket(clients.s3, name)


def _indexes(described: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """As a template writes them, in the order of their names."""
    written = ("IndexName", "KeySchema", "Projection")
    named = sorted(described, key=lambda index: str(index["IndexName"]))
    return [{name: index[name] for name in written} for index in named]


QUEUE = "AWS::SQS::Queue"
TOPIC = "AWS::SNS::Topic"
TABLE = "AWS::DynamoDB::Table"
BUCKET = "AWS::S3::Bucket"
SUBSCRIPTION = "AWS::SNS::Subscription"
SUBSCRIPTION_ATTRIBUTES = {"RawMessageDelivery", "FilterPolicy", "FilterPolicyScope"}
TABLE_ATTRIBUTES = {
    "KeySchema",
    "AttributeDefinitions",
    "GlobalSecondaryIndexes",
    "BillingMode",
    "TimeToLiveSpecification",
    "PointInTimeRecoverySpecification",
}
READABLE = {TABLE: TABLE_ATTRIBUTES, BUCKET: BUCKET_ATTRIBUTES}
READERS = {
    QUEUE: _queue,
    TOPIC: _topic,
    TABLE: _table,
    BUCKET: _bucket,
    SUBSCRIPTION: _subscription,
}


def _comparable(value: Any) -> Any:
    """Policies are JSON texts whose spelling differs; compare what they say."""
    if isinstance(value, str) and value.startswith("{"):
        return {key: str(item) for key, item in json.loads(value).items()}
    return value


def _shown(value: Any) -> str:
    if value is None:
        return MISSING
    return value if isinstance(value, str) else json.dumps(value, default=str)
