"""What the templates say of subscriptions is what SNS does, and what is missing is found."""

import json
from typing import Any

from billfleet_contracts import TOPICS, QueueSpec, Subscription
from billfleet_ops.aws_templates.document import rendered
from billfleet_ops.aws_templates.messaging import messaging
from billfleet_ops.clients import Clients
from billfleet_ops.resources import check, place_of
from billfleet_ops.templates import Resource

FAILED = "billfleet.billing.payment_failed.v1"


def test_a_queue_gets_the_types_that_it_asked_for_and_another_gets_all(
    aws: Clients, stack_name: str
) -> None:
    picky = QueueSpec("picky", worker="picky", subscribes=(Subscription("events", (FAILED,)),))
    greedy = QueueSpec("greedy", worker="greedy", subscribes=(Subscription("events"),))
    text = rendered(messaging({"picky": picky, "greedy": greedy}, TOPICS), generator="a test")
    aws.cloudformation.create_stack(
        StackName=f"{stack_name}-messaging",
        TemplateBody=text,
        Parameters=[{"ParameterKey": "Stack", "ParameterValue": stack_name}],
    )
    aws.cloudformation.get_waiter("stack_create_complete").wait(
        StackName=f"{stack_name}-messaging", WaiterConfig={"Delay": 1}
    )
    place = place_of(aws, stack_name)
    topic = f"arn:aws:sns:{aws.region}:{place.account_id}:{stack_name}-events"
    for name in (FAILED, "billfleet.billing.payment_succeeded.v1"):
        attribute: Any = {"DataType": "String", "StringValue": name}
        aws.sns.publish(TopicArn=topic, Message=name, MessageAttributes={"type": attribute})
    assert _bodies(aws, f"{stack_name}-picky") == [FAILED]
    assert len(_bodies(aws, f"{stack_name}-greedy")) == 2
    heard = _subscription(topic, f"{stack_name}-picky", place.account_id, aws.region)
    assert check(aws, heard) == []
    other = _subscription(topic, f"{stack_name}-nobody", place.account_id, aws.region)
    assert check(aws, other)[0].is_missing


def _subscription(topic: str, queue: str, account_id: str, region: str) -> Resource:
    properties: dict[str, Any] = {
        "TopicArn": topic,
        "Endpoint": f"arn:aws:sqs:{region}:{account_id}:{queue}",
        "RawMessageDelivery": True,
        "FilterPolicy": {"type": [FAILED]},
    }
    return Resource("Heard", "AWS::SNS::Subscription", json.loads(json.dumps(properties)))


def _bodies(aws: Clients, queue: str) -> list[str]:
    url = aws.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    answer = aws.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
    return [message["Body"] for message in answer.get("Messages", [])]
