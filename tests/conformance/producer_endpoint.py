"""A real stack for the producers' exam: the queues and the topic that a test sends to.

Used by `test_producers.py` on the emulator of `fixtures_stack`. It must not know the producers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3

REGION = "us-east-1"


@dataclass(frozen=True)
class Received:
    """A message as a consumer sees it."""

    body: str
    group_id: str | None
    attributes: Mapping[str, str | int]


class TestStack:
    """The queues and the topic that a test sends to, and what arrived there."""

    __test__ = False

    def __init__(self, name: str, endpoint_url: str) -> None:
        self.name = name
        arguments: dict[str, Any] = {"region_name": REGION, "endpoint_url": endpoint_url}
        self._sqs = boto3.client("sqs", **arguments)
        self._sns = boto3.client("sns", **arguments)

    def create(self) -> None:
        for queue in ("rebill", "collect", "heard"):
            self._sqs.create_queue(QueueName=f"{self.name}-{queue}")
        ordered = f"{self.name}-ordered.fifo"
        self._sqs.create_queue(QueueName=ordered, Attributes={"FifoQueue": "true"})
        topic = self._sns.create_topic(Name=f"{self.name}-events")["TopicArn"]
        self._sns.subscribe(
            TopicArn=topic,
            Protocol="sqs",
            Endpoint=f"arn:aws:sqs:{REGION}:000000000000:{self.name}-heard",
            Attributes={"RawMessageDelivery": "true"},
        )

    def received(self, queue: str) -> list[Received]:
        """Everything that waits in a queue, by its logical name; a topic's under `heard`."""
        url = self._sqs.get_queue_url(QueueName=f"{self.name}-{queue}")["QueueUrl"]
        found: list[Received] = []
        while True:
            answer = self._sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=10,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["All"],
            )
            messages = answer.get("Messages", [])
            if not messages:
                return found
            for message in messages:
                attributes = message.get("MessageAttributes", {})
                found.append(
                    Received(
                        message["Body"],
                        message.get("Attributes", {}).get("MessageGroupId"),
                        {key: value["StringValue"] for key, value in attributes.items()},
                    )
                )
                self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def close(self) -> None:
        self._sqs.close()
        self._sns.close()
