"""The CloudFormation templates promise what the catalogue asks for, and nothing else."""

import pytest

from billfleet_contracts import CATALOGUE, DLQ_RETENTION_S, QUEUES, TOPICS, QueueSpec, Subscription
from billfleet_db.files import FILE_LIFE_DAYS
from billfleet_ops.aws_templates.document import rendered, sub
from billfleet_ops.aws_templates.generated import find_drift
from billfleet_ops.aws_templates.messaging import messaging, topic_arn
from billfleet_ops.templates import (
    TEMPLATE_NAMES,
    Place,
    Resource,
    resources_of,
    template_body,
    template_folder,
)

PLACE = Place(stack="shop", region="eu-central-1", account_id="123456789012")
ARN = "arn:aws:sqs:eu-central-1:123456789012:"


def _by_name(kind: str, name_property: str) -> dict[str, Resource]:
    found = [resource for name in TEMPLATE_NAMES for resource in resources_of(name, PLACE)]
    return {
        str(resource.properties[name_property]): resource
        for resource in found
        if resource.kind == kind
    }


def _queues() -> dict[str, Resource]:
    return _by_name("AWS::SQS::Queue", "QueueName")


@pytest.mark.parametrize("spec", QUEUES.values(), ids=list(QUEUES))
def test_each_queue_of_the_catalogue_is_promised_with_its_settings(spec: QueueSpec) -> None:
    queue = _queues()[spec.physical_name("shop")].properties
    assert queue["VisibilityTimeout"] == spec.visibility_timeout_s
    assert queue["MessageRetentionPeriod"] == spec.retention_s
    assert queue.get("FifoQueue", False) == spec.fifo
    assert queue["ReceiveMessageWaitTimeSeconds"] == 20
    assert queue["SqsManagedSseEnabled"] is True
    assert queue["MaximumMessageSize"] == 1_048_576
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": ARN + spec.dlq_physical_name("shop"),
        "maxReceiveCount": spec.max_receive_count,
    }


@pytest.mark.parametrize("spec", QUEUES.values(), ids=list(QUEUES))
def test_each_dead_letter_queue_accepts_only_its_own_queue(spec: QueueSpec) -> None:
    letters = _queues()[spec.dlq_physical_name("shop")].properties
    assert letters["MessageRetentionPeriod"] == DLQ_RETENTION_S
    assert letters.get("FifoQueue", False) == spec.fifo
    assert letters["SqsManagedSseEnabled"] is True
    assert "RedrivePolicy" not in letters
    assert letters["RedriveAllowPolicy"] == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [ARN + spec.physical_name("shop")],
    }


def test_no_queue_and_no_topic_is_promised_that_the_catalogue_does_not_know() -> None:
    specs = QUEUES.values()
    expected = {spec.physical_name("shop") for spec in specs}
    expected |= {spec.dlq_physical_name("shop") for spec in specs}
    assert set(_queues()) == expected
    topics = _by_name("AWS::SNS::Topic", "TopicName")
    assert set(topics) == {spec.physical_name("shop") for spec in TOPICS.values()}


def test_the_dedupe_table_has_the_key_and_the_expiry_that_the_store_uses() -> None:
    table = _by_name("AWS::DynamoDB::Table", "TableName")["shop-dedupe"]
    assert table.properties["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]
    assert table.properties["AttributeDefinitions"] == [
        {"AttributeName": "pk", "AttributeType": "S"}
    ]
    assert table.properties["BillingMode"] == "PAY_PER_REQUEST"
    ttl = table.properties["TimeToLiveSpecification"]
    assert ttl == {"AttributeName": "expires_at", "Enabled": True}
    recovery = table.properties["PointInTimeRecoverySpecification"]
    assert recovery == {"PointInTimeRecoveryEnabled": True}
    assert table.properties["SSESpecification"] == {"SSEEnabled": True}


def test_loyalty_transactions_are_found_by_id_and_in_time_order_by_customer_and_by_card() -> None:
    table = _by_name("AWS::DynamoDB::Table", "TableName")["shop-loyalty-transactions"]
    assert table.properties["KeySchema"] == [{"AttributeName": "TransactionId", "KeyType": "HASH"}]
    assert {
        index["IndexName"]: [key["AttributeName"] for key in index["KeySchema"]]
        for index in table.properties["GlobalSecondaryIndexes"]
    } == {"by-customer": ["CustomerId", "Timestamp"], "by-card": ["CardId", "Timestamp"]}
    ttl = table.properties["TimeToLiveSpecification"]
    assert ttl == {"AttributeName": "ExpiresAt", "Enabled": True}


def test_the_audit_table_is_read_by_tenant_in_time_order_and_forgets() -> None:
    table = _by_name("AWS::DynamoDB::Table", "TableName")["shop-audit"]
    assert [key["AttributeName"] for key in table.properties["KeySchema"]] == ["Tenant", "At"]
    ttl = table.properties["TimeToLiveSpecification"]
    assert ttl == {"AttributeName": "ExpiresAt", "Enabled": True}


def test_files_are_private_encrypted_and_live_as_long_as_their_links() -> None:
    """R85, R88."""
    bucket = _by_name("AWS::S3::Bucket", "BucketName")["shop-files"]
    assert set(bucket.properties["PublicAccessBlockConfiguration"].values()) == {True}
    (encryption,) = bucket.properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    rules = {rule["Prefix"]: rule for rule in bucket.properties["LifecycleConfiguration"]["Rules"]}
    for prefix in ("bills/", "exports/", "reports/", "mails/"):
        assert rules[prefix]["ExpirationInDays"] == FILE_LIFE_DAYS
    assert rules[""]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


def test_uploads_are_private_announced_to_their_queue_and_gone_after_a_week() -> None:
    """R88."""
    bucket = _by_name("AWS::S3::Bucket", "BucketName")["shop-uploads"].properties
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (told,) = bucket["NotificationConfiguration"]["QueueConfigurations"]
    assert told["Queue"] == ARN + QUEUES["uploads"].physical_name("shop")
    assert told["Filter"]["S3Key"]["Rules"] == [{"Name": "prefix", "Value": "avatars/"}]
    assert bucket["LifecycleConfiguration"]["Rules"][0]["ExpirationInDays"] == 7


@pytest.mark.parametrize("name", TEMPLATE_NAMES)
def test_what_holds_work_is_kept_when_a_stack_is_deleted(name: str) -> None:
    body = template_body(name)
    holding = body.count("AWS::SQS::Queue\n") + body.count("AWS::SNS::Topic\n")
    holding += body.count("AWS::DynamoDB::Table\n") + body.count("AWS::S3::Bucket\n")
    assert body.count("DeletionPolicy: Retain") == holding
    assert body.count("UpdateReplacePolicy: Retain") == holding


@pytest.mark.parametrize("name", TEMPLATE_NAMES)
def test_every_reference_of_a_template_is_resolved(name: str) -> None:
    assert "${" not in str([dict(resource.properties) for resource in resources_of(name, PLACE)])


def test_the_generated_templates_are_those_that_are_committed() -> None:
    assert find_drift(template_folder()) == []


def test_a_queue_hears_of_its_topic_only_the_types_that_it_asks_for() -> None:
    failed = "billfleet.billing.payment_failed.v1"
    spec = QueueSpec(name="mail", worker="mail", subscribes=(Subscription("events", (failed,)),))
    text = rendered(messaging({"mail": spec}, TOPICS), generator="a test")
    declared = {part.logical_id: part.body for part in messaging({"mail": spec}, TOPICS).resources}
    heard = declared["MailHearsEvents"]["Properties"]
    assert heard["FilterPolicy"] == {"type": [failed]}
    assert heard["RawMessageDelivery"] is True
    senders = declared["MailQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert senders[0]["Principal"] == {"Service": "sns.amazonaws.com"}
    assert "MailDeadLetterQueuePolicy" in declared
    assert '!Sub "arn:${AWS::Partition}:sns:' in text


@pytest.mark.parametrize("spec", QUEUES.values(), ids=list(QUEUES))
def test_a_queue_hears_only_of_topics_that_exist(spec: QueueSpec) -> None:
    assert {heard.topic for heard in spec.subscribes} <= set(TOPICS)


@pytest.mark.parametrize("spec", QUEUES.values(), ids=list(QUEUES))
def test_a_queue_asks_only_for_types_that_its_topics_carry(spec: QueueSpec) -> None:
    for heard in spec.subscribes:
        carried = {one.type for one in CATALOGUE.values() if one.route.name == heard.topic}
        assert set(heard.types) <= carried


def test_a_foreign_form_comes_from_the_topic_or_bucket_of_the_queues_name() -> None:
    notices = QueueSpec(name="bounces", worker="mail", form="sns")
    objects = QueueSpec(name="uploads", worker="avatar", form="s3")
    template = messaging({"bounces": notices, "uploads": objects}, TOPICS)
    declared = {part.logical_id: part.body for part in template.resources}

    def origin(policy: str) -> object:
        statements = declared[policy]["Properties"]["PolicyDocument"]["Statement"]
        return statements[0]["Condition"]["ArnLike"]["aws:SourceArn"]

    assert origin("BouncesQueuePolicy") == [sub(topic_arn("bounces"))]
    assert origin("UploadsQueuePolicy") == [sub("arn:${AWS::Partition}:s3:::${Stack}-uploads")]
