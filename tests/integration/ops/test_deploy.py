"""The templates of production create on the endpoint what they promise, as often as wanted."""

import pytest

from billfleet_contracts import QUEUES
from billfleet_ops.clients import Clients
from billfleet_ops.errors import DeployFailed
from billfleet_ops.local.deploy import deploy
from billfleet_ops.resources import differences, place_of


def test_what_exists_is_what_the_templates_promise(aws: Clients, stack_name: str) -> None:
    deployed = deploy(aws, stack_name)
    assert list(deployed.created) == [f"{stack_name}-messaging", f"{stack_name}-data"]
    assert differences(aws, place_of(aws, stack_name)) == []
    for spec in QUEUES.values():
        assert aws.sqs.get_queue_url(QueueName=spec.dlq_physical_name(stack_name))
    ttl = aws.dynamodb.describe_time_to_live(TableName=f"{stack_name}-dedupe")
    assert ttl["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED"


def test_what_the_emulator_left_out_is_set_and_reported(aws: Clients, stack_name: str) -> None:
    deployed = deploy(aws, stack_name)
    corrected = {found.attribute for found in deployed.corrected}
    assert "TimeToLiveSpecification" in corrected
    rules = aws.s3.get_bucket_lifecycle_configuration(Bucket=f"{stack_name}-files")["Rules"]
    assert {rule.get("ID") for rule in rules} >= {"exports", "unfinished-uploads"}


def test_deploying_again_changes_nothing_and_keeps_messages(
    aws: Clients, deployed_stack: str
) -> None:
    url = aws.sqs.get_queue_url(QueueName=f"{deployed_stack}-rebill")["QueueUrl"]
    aws.sqs.send_message(QueueUrl=url, MessageBody="kept", MessageGroupId="acme")
    again = deploy(aws, deployed_stack)
    assert (list(again.created), list(again.updated), list(again.corrected)) == ([], [], [])
    received = aws.sqs.receive_message(QueueUrl=url)
    assert [message["Body"] for message in received["Messages"]] == ["kept"]


def test_an_attribute_that_somebody_changed_is_found_and_set_back(
    aws: Clients, deployed_stack: str
) -> None:
    url = aws.sqs.get_queue_url(QueueName=f"{deployed_stack}-rebill")["QueueUrl"]
    aws.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "7"})
    (found,) = differences(aws, place_of(aws, deployed_stack))
    assert "VisibilityTimeout is 7, the template says 60" in str(found)
    again = deploy(aws, deployed_stack)
    assert [difference.attribute for difference in again.corrected] == ["VisibilityTimeout"]
    assert differences(aws, place_of(aws, deployed_stack)) == []


def test_a_queue_that_somebody_deleted_is_an_error_and_not_a_silence(
    aws: Clients, deployed_stack: str
) -> None:
    url = aws.sqs.get_queue_url(QueueName=f"{deployed_stack}-collect")["QueueUrl"]
    aws.sqs.delete_queue(QueueUrl=url)
    with pytest.raises(DeployFailed, match=f"{deployed_stack}-collect does not exist"):
        deploy(aws, deployed_stack)
