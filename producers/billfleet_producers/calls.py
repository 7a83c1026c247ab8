"""The AWS calls of a batch, as scripts without I/O: what to ask, and what the answer means.

A script is a generator that yields calls and is sent their responses (or thrown their mapped
errors); the async and the sync transport run the same ones. It must not know botocore, sockets
or retries.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from billfleet_contracts import Route
from billfleet_producers.claim_check import LargeBody
from billfleet_producers.errors import SendFailed
from billfleet_producers.outgoing import Outgoing
from billfleet_producers.packing import Batch
from billfleet_producers.sending import Accepted, Answer

Service = Literal["sqs", "sns", "sts", "s3"]

# AWS marks these as the sender's fault although the same message may pass a moment later.
_THROTTLE_CODES = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "Throttled",
        "RequestThrottled",
        "TooManyRequestsException",
        "KmsThrottled",
        "KMSThrottlingException",
        "KMSThrottling",
        "OverLimit",
        "RequestLimitExceeded",
        "SlowDown",
    }
)


@dataclass(frozen=True, slots=True)
class AwsCall:
    """One request: a client, its method by botocore's name, and the parameters."""

    service: Service
    operation: str
    parameters: Mapping[str, Any]


Script = Generator[AwsCall, Mapping[str, Any], Any]


def is_throttle(code: str) -> bool:
    """Whether AWS's error code says no more than "not so fast"."""
    return code.rpartition(".")[2] in _THROTTLE_CODES


def find_queue(name: str) -> Generator[AwsCall, Mapping[str, Any], str]:
    """The URL of a queue by its physical name."""
    response = yield AwsCall("sqs", "get_queue_url", {"QueueName": name})
    return str(response["QueueUrl"])


def find_topic(name: str, region: str) -> Generator[AwsCall, Mapping[str, Any], str]:
    """The ARN of a topic by its physical name, in the caller's own account and region."""
    identity = yield AwsCall("sts", "get_caller_identity", {})
    partition = str(identity["Arn"]).split(":")[1]
    return f"arn:{partition}:sns:{region}:{identity['Account']}:{name}"


def find_address(
    route: Route, stack: str, region: str
) -> Generator[AwsCall, Mapping[str, Any], str]:
    """What the batch call wants to be told: a queue's URL or a topic's ARN."""
    name = route.physical_name(stack)
    if route.kind == "queue":
        return (yield from find_queue(name))
    return (yield from find_topic(name, region))


def store(large: LargeBody) -> Generator[AwsCall, Mapping[str, Any], None]:
    """Leave a body in S3, before the message that points to it is sent."""
    yield AwsCall(
        "s3",
        "put_object",
        {
            "Bucket": large.pointer.bucket,
            "Key": large.pointer.key,
            "Body": large.body.encode(),
            "ContentType": "application/json",
        },
    )


def send(batch: Batch, address: str) -> Generator[AwsCall, Mapping[str, Any], list[Answer]]:
    """One batch call, and one answer per message in the batch's order."""
    entries = [_entry(number, message) for number, message in enumerate(batch.messages)]
    if batch.route.kind == "queue":
        parameters = {"QueueUrl": address, "Entries": entries}
        response = yield AwsCall("sqs", "send_message_batch", parameters)
    else:
        parameters = {"TopicArn": address, "PublishBatchRequestEntries": entries}
        response = yield AwsCall("sns", "publish_batch", parameters)
    return _answers(response, len(entries))


def _entry(number: int, message: Outgoing) -> dict[str, Any]:
    body_name = "MessageBody" if message.route.kind == "queue" else "Message"
    entry: dict[str, Any] = {"Id": str(number), body_name: message.body}
    if message.group_id is not None:
        entry["MessageGroupId"] = message.group_id
    if message.deduplication_id is not None:
        entry["MessageDeduplicationId"] = message.deduplication_id
    if message.attributes:
        entry["MessageAttributes"] = {
            name: {
                "DataType": "Number" if isinstance(value, int) else "String",
                "StringValue": str(value),
            }
            for name, value in message.attributes.items()
        }
    return entry


def _answers(response: Mapping[str, Any], count: int) -> list[Answer]:
    # HTTP 200 says nothing about any single entry, and an entry in neither list may be lost.
    answers: dict[str, Answer] = {}
    for accepted in response.get("Successful") or ():
        sequence_number = accepted.get("SequenceNumber")
        answers[accepted["Id"]] = Accepted(accepted["MessageId"], sequence_number)
    for refused in response.get("Failed") or ():
        answers[refused["Id"]] = _refusal(refused)
    return [answers.get(str(number)) or _no_answer() for number in range(count)]


def _no_answer() -> SendFailed:
    return SendFailed("AWS's answer leaves it out", code="NoAnswer", retriable=True)


def _refusal(entry: Mapping[str, Any]) -> SendFailed:
    code = str(entry.get("Code", "Unknown"))
    retriable = not entry.get("SenderFault", False) or is_throttle(code)
    return SendFailed(
        str(entry.get("Message") or "no reason given"), code=code, retriable=retriable
    )
