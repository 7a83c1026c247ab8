"""The dead-letters port on Amazon SQS.

Replay uses it through `runtime.ports.dead_letters`. It reaches any queue by its URL, keeps every
attribute of a message, binary ones too, and names the permission that a refused call lacks. It
must not decide what is replayed.
"""

import json
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import ClientError

from billfleet_workers.adapters.aws_client import LONG_POLL_S_MAX, READ_TIMEOUT_S, AwsClients
from billfleet_workers.adapters.aws_errors import CALL_TIMEOUT_S, Refused, aws_call
from billfleet_workers.adapters.message_form import SQS_BYTES_MAX
from billfleet_workers.adapters.sqs import VISIBILITY_S_MAX
from billfleet_workers.adapters.sqs_batch import (
    ENTRIES_MAX,
    Batch,
    Entries,
    Entry,
    pack,
    run_batches,
)
from billfleet_workers.runtime.errors import Misconfigured, Unavailable
from billfleet_workers.runtime.ports.dead_letters import (
    Attribute,
    Copy,
    DeadMessage,
    NotAllowed,
    QueueFacts,
)
from billfleet_workers.runtime.ports.queue import EntryFailure, Hiding

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient

DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError"}
NO_SUCH_QUEUE = {
    "AWS.SimpleQueueService.NonExistentQueue",
    "NonExistentQueue",
    "QueueDoesNotExist",
    "InvalidAddress",
}
ACTIONS = {
    "SendMessageBatch": "sqs:SendMessage",
    "DeleteMessageBatch": "sqs:DeleteMessage",
    "ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}
"""A batch call is allowed by the action of the single one. The others are named like the call."""


class SqsDeadLetters:
    """Queues by URL. Open it with `SqsDeadLetters.open`; it owns its connections."""

    def __init__(self, client: "SQSClient") -> None:
        self._client = client

    @classmethod
    async def open(cls, clients: AwsClients, *, pool_size: int = 32) -> Self:
        """Make the client. Nothing is asked of SQS before the first call."""
        return cls(await clients.open_sqs(pool_size=pool_size))

    async def describe(self, queue: str) -> QueueFacts | None:
        """Look a queue up, and count."""
        try:
            url = queue if "://" in queue else await self._find(queue)
            async with _asked(url):
                answer: Any = await self._client.get_queue_attributes(
                    QueueUrl=url, AttributeNames=["All"]
                )
        except Unavailable as error:
            if _code(error) in NO_SUCH_QUEUE:
                return None
            raise
        except Refused as refusal:
            if refusal.code in NO_SUCH_QUEUE:
                return None
            raise Misconfigured(queue, str(refusal)) from refusal
        said = answer["Attributes"]
        policy = json.loads(said.get("RedrivePolicy") or "{}")
        name = str(said["QueueArn"]).rpartition(":")[2]
        return QueueFacts(
            url=url,
            name=name,
            arn=said["QueueArn"],
            is_fifo=name.endswith(".fifo"),
            waiting=int(said["ApproximateNumberOfMessages"]),
            in_flight=int(said["ApproximateNumberOfMessagesNotVisible"]),
            redrives_to=policy.get("deadLetterTargetArn"),
        )

    async def _find(self, queue: str) -> str:
        """The URL of a name or an ARN; an ARN may name a queue of another account."""
        parts = queue.split(":")
        owner = {"QueueOwnerAWSAccountId": parts[4]} if len(parts) == 6 else {}
        async with _asked(queue):
            answer: Any = await self._client.get_queue_url(QueueName=parts[-1], **owner)
        return str(answer["QueueUrl"])

    async def sources(self, url: str) -> Sequence[str]:
        """Ask which queues redrive here. An endpoint that can't tell answers none."""
        found: list[str] = []
        token: dict[str, Any] = {}
        while True:
            try:
                async with _asked(url):
                    answer: Any = await self._client.list_dead_letter_source_queues(
                        QueueUrl=url, MaxResults=1000, **token
                    )
            except Refused:
                return found
            found += answer.get("queueUrls", [])
            if not answer.get("NextToken"):
                return found
            token = {"NextToken": answer["NextToken"]}

    async def receive(
        self, url: str, *, limit: int, wait_s: float, visibility_timeout_s: int
    ) -> Sequence[DeadMessage]:
        """One poll for up to ten messages."""
        wait_whole_s = min(max(math.ceil(wait_s), 0), LONG_POLL_S_MAX)
        try:
            async with _asked(url, timeout_s=READ_TIMEOUT_S + 5):
                answer: Any = await self._client.receive_message(
                    QueueUrl=url,
                    MaxNumberOfMessages=min(max(limit, 1), ENTRIES_MAX),
                    WaitTimeSeconds=wait_whole_s,
                    VisibilityTimeout=min(visibility_timeout_s, VISIBILITY_S_MAX),
                    MessageSystemAttributeNames=["All"],
                    MessageAttributeNames=["All"],
                )
        except Refused as refusal:
            raise Unavailable(url, str(refusal)) from refusal
        return [_received(message) for message in answer.get("Messages", ())]

    async def send(self, url: str, copies: Sequence[Copy]) -> Sequence[EntryFailure | None]:
        """Send, up to ten and 1 MiB a call."""
        packed = pack([copy.size_bytes for copy in copies], bytes_max=SQS_BYTES_MAX)
        entries = [_copy_entry(copy) for copy in copies]
        return await self._batches(self._client.send_message_batch, url, entries, packed)

    async def hide(self, url: str, hidings: Sequence[Hiding]) -> Sequence[EntryFailure | None]:
        """Change visibility timeouts, ten a call."""
        entries: list[Entry] = [
            {
                "ReceiptHandle": hiding.receipt_handle,
                "VisibilityTimeout": min(max(hiding.visible_in_s, 0), VISIBILITY_S_MAX),
            }
            for hiding in hidings
        ]
        return await self._batches(
            self._client.change_message_visibility_batch, url, entries, _tens(entries)
        )

    async def delete(
        self, url: str, receipt_handles: Sequence[str]
    ) -> Sequence[EntryFailure | None]:
        """Delete, ten a call."""
        entries: list[Entry] = [{"ReceiptHandle": handle} for handle in receipt_handles]
        return await self._batches(self._client.delete_message_batch, url, entries, _tens(entries))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _batches(
        self, method: Any, url: str, entries: list[Entry], packed: Sequence[Sequence[int]]
    ) -> Sequence[EntryFailure | None]:
        async def call(part: Entries) -> Mapping[str, Any]:
            async with _asked(url):
                answer: Mapping[str, Any] = await method(QueueUrl=url, Entries=part)
            return answer

        return await run_batches([Batch(call, positions) for positions in packed], entries)


def _tens(entries: Sequence[Entry]) -> list[list[int]]:
    return pack([0] * len(entries), bytes_max=SQS_BYTES_MAX)


@asynccontextmanager
async def _asked(resource: str, timeout_s: float = CALL_TIMEOUT_S) -> AsyncIterator[None]:
    """An AWS call whose refusal for want of a permission names the permission."""
    try:
        async with aws_call(resource, timeout_s=timeout_s):
            yield
    except Misconfigured as error:
        cause = error.__cause__
        if isinstance(cause, ClientError) and _code(error) in DENIED:
            operation = cause.operation_name
            raise NotAllowed(ACTIONS.get(operation, f"sqs:{operation}"), resource) from cause
        raise


def _code(error: BaseException) -> str:
    cause = error.__cause__
    return (
        str(cause.response.get("Error", {}).get("Code")) if isinstance(cause, ClientError) else ""
    )


def _received(message: Mapping[str, Any]) -> DeadMessage:
    system = message.get("Attributes", {})
    return DeadMessage(
        message_id=message["MessageId"],
        receipt_handle=message["ReceiptHandle"],
        body=message["Body"],
        receive_count=int(system.get("ApproximateReceiveCount", 1)),
        sent_at=datetime.fromtimestamp(int(system.get("SentTimestamp", 0)) / 1000, UTC),
        group_id=system.get("MessageGroupId"),
        source_arn=system.get("DeadLetterQueueSourceArn"),
        attributes={
            name: Attribute(one["DataType"], one.get("StringValue", ""), one.get("BinaryValue"))
            for name, one in message.get("MessageAttributes", {}).items()
        },
    )


def _copy_entry(copy: Copy) -> Entry:
    entry: Entry = {"MessageBody": copy.body}
    if copy.attributes:
        entry["MessageAttributes"] = {
            name: {"DataType": one.data_type}
            | ({"StringValue": one.text} if one.data is None else {"BinaryValue": one.data})
            for name, one in copy.attributes.items()
        }
    if copy.group_id:
        entry["MessageGroupId"] = copy.group_id
    if copy.deduplication_id:
        entry["MessageDeduplicationId"] = copy.deduplication_id
    return entry
