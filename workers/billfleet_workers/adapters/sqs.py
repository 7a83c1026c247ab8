"""The queue port on Amazon SQS.

The consumer and delivery use it through `runtime.ports.queue`. It names the queue and its
dead-letter queue, speaks the batch calls, and reports every entry. It must not decide what
becomes of a message.
"""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from billfleet_workers.adapters.aws_client import LONG_POLL_S_MAX, READ_TIMEOUT_S, AwsClients
from billfleet_workers.adapters.aws_errors import Refused, aws_call
from billfleet_workers.adapters.message_form import (
    SQS_BYTES_MAX,
    clean_attributes,
    message_attributes,
    size_bytes,
)
from billfleet_workers.adapters.sqs_batch import (
    ENTRIES_MAX,
    Batch,
    BatchCall,
    Entries,
    Entry,
    pack,
    run_batches,
)
from billfleet_workers.runtime.errors import Misconfigured, Unavailable
from billfleet_workers.runtime.ports.queue import Burial, EntryFailure, Hiding, Received

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient
    from types_aiobotocore_sqs.literals import MessageSystemAttributeNameType

VISIBILITY_S_MAX = 12 * 3600
FIFO = ".fifo"
_SYSTEM_ATTRIBUTES: "Sequence[MessageSystemAttributeNameType]" = [
    "ApproximateReceiveCount",
    "SentTimestamp",
    "MessageGroupId",
]


class QueueUrls:
    """Finds the URLs of the stack's queues, each once."""

    def __init__(self, client: "SQSClient", stack: str) -> None:
        self._client = client
        self._stack = stack
        self._known: dict[str, str] = {}

    def use(self, client: "SQSClient") -> None:
        """Ask through another client from now on."""
        self._client = client

    async def find(self, name: str) -> str:
        """The URL of `<stack>-<name>`. `Misconfigured` if there is no such queue."""
        if name not in self._known:
            physical_name = f"{self._stack}-{name}"
            try:
                async with aws_call(f"SQS queue {physical_name}"):
                    answer = await self._client.get_queue_url(QueueName=physical_name)
            except Refused as refusal:
                raise Misconfigured(f"SQS queue {physical_name}", str(refusal)) from refusal
            self._known[name] = answer["QueueUrl"]
        return self._known[name]


class SqsQueue:
    """One queue of the stack. Open it with `SqsQueue.open`; it owns its connections."""

    def __init__(
        self,
        client: "SQSClient",
        *,
        stack: str,
        name: str,
        reopen: "Callable[[], Awaitable[SQSClient]] | None" = None,
    ) -> None:
        self._client = client
        self._name = name
        self._reopen = reopen
        self._urls = QueueUrls(client, stack)
        self._is_fifo = name.endswith(FIFO)
        self._dlq_name = f"{name.removesuffix(FIFO)}-dlq{FIFO if self._is_fifo else ''}"
        self.dependency = f"SQS queue {stack}-{name}"

    @classmethod
    async def open(cls, clients: AwsClients, *, stack: str, name: str, pool_size: int = 32) -> Self:
        """Make the client. Nothing is asked of SQS before the first call."""
        reopen = partial(clients.open_sqs, pool_size=pool_size)
        return cls(await reopen(), stack=stack, name=name, reopen=reopen)

    @property
    def name(self) -> str:
        """The catalogue's name of the queue."""
        return self._name

    async def check(self) -> None:
        """Raise `Misconfigured` or `Unavailable` unless the queue and its DLQ can be found."""
        await self._urls.find(self._name)
        await self._urls.find(self._dlq_name)

    async def receive(
        self, *, limit: int, wait_s: float, visibility_timeout_s: int
    ) -> Sequence[Received]:
        """One long poll of up to 20 s for up to 10 messages."""
        url = await self._urls.find(self._name)
        wait_whole_s = min(max(math.ceil(wait_s), 0), LONG_POLL_S_MAX)
        try:
            async with aws_call(self.dependency, timeout_s=READ_TIMEOUT_S + 5):
                answer = await self._client.receive_message(
                    QueueUrl=url,
                    MaxNumberOfMessages=min(max(limit, 1), ENTRIES_MAX),
                    WaitTimeSeconds=wait_whole_s,
                    VisibilityTimeout=visibility_timeout_s,
                    MessageSystemAttributeNames=_SYSTEM_ATTRIBUTES,
                    MessageAttributeNames=["All"],
                )
        except Refused as refusal:
            raise Unavailable(self.dependency, str(refusal)) from refusal
        return [_received(message) for message in answer.get("Messages", ())]

    async def delete(self, receipt_handles: Sequence[str]) -> Sequence[EntryFailure | None]:
        """Delete messages, ten a call."""
        url = await self._urls.find(self._name)

        async def call(entries: Entries) -> Mapping[str, Any]:
            async with aws_call(self.dependency):
                return await self._client.delete_message_batch(QueueUrl=url, Entries=entries)

        entries: list[Entry] = [{"ReceiptHandle": handle} for handle in receipt_handles]
        return await run_batches(_tens(call, len(entries)), entries)

    async def hide(self, hidings: Sequence[Hiding]) -> Sequence[EntryFailure | None]:
        """Change visibility timeouts, ten a call. More than 12 hours is cut to 12 hours."""
        url = await self._urls.find(self._name)

        async def call(entries: Entries) -> Mapping[str, Any]:
            async with aws_call(self.dependency):
                return await self._client.change_message_visibility_batch(
                    QueueUrl=url,
                    Entries=entries,
                )

        entries: list[Entry] = [
            {
                "ReceiptHandle": hiding.receipt_handle,
                "VisibilityTimeout": min(max(hiding.visible_in_s, 0), VISIBILITY_S_MAX),
            }
            for hiding in hidings
        ]
        return await run_batches(_tens(call, len(entries)), entries)

    async def bury(self, burials: Sequence[Burial]) -> Sequence[EntryFailure | None]:
        """Send to the dead-letter queue, up to ten and 1 MiB a call."""
        url = await self._urls.find(self._dlq_name)

        async def call(entries: Entries) -> Mapping[str, Any]:
            async with aws_call(f"{self.dependency}-dlq"):
                return await self._client.send_message_batch(QueueUrl=url, Entries=entries)

        sized = [_burial_entry(burial, fifo=self._is_fifo) for burial in burials]
        packed = pack([size for _, size in sized], bytes_max=SQS_BYTES_MAX)
        return await run_batches(
            [Batch(call, positions) for positions in packed], [entry for entry, _ in sized]
        )

    async def recycle(self) -> None:
        """Close the connections, whatever is on them, and use new ones."""
        if self._reopen is None:
            return
        hanging, self._client = self._client, await self._reopen()
        self._urls.use(self._client)
        await hanging.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _tens(call: BatchCall, count: int) -> list[Batch]:
    return [Batch(call, positions) for positions in pack([0] * count, bytes_max=SQS_BYTES_MAX)]


def _received(message: Mapping[str, Any]) -> Received:
    system = message.get("Attributes", {})
    sent_ms = system.get("SentTimestamp")
    return Received(
        message_id=message["MessageId"],
        receipt_handle=message["ReceiptHandle"],
        body=message["Body"],
        receive_count=int(system.get("ApproximateReceiveCount", 1)),
        sent_at=datetime.fromtimestamp(int(sent_ms) / 1000, UTC) if sent_ms else None,
        group_id=system.get("MessageGroupId"),
        attributes={
            name: value["StringValue"]
            for name, value in message.get("MessageAttributes", {}).items()
            if "StringValue" in value
        },
    )


def _burial_entry(burial: Burial, *, fifo: bool) -> tuple[Entry, int]:
    room = SQS_BYTES_MAX - len(burial.body.encode())
    attributes = clean_attributes(burial.attributes, bytes_max=room)
    entry: Entry = {"MessageBody": burial.body}
    if attributes:
        entry["MessageAttributes"] = message_attributes(attributes)
    if burial.group_id:
        entry["MessageGroupId"] = burial.group_id
    if fifo:
        # The message's own id: burying it again after a lost answer leaves one copy, and two
        # messages with the same body are still two.
        entry["MessageGroupId"] = burial.group_id or burial.message_id
        entry["MessageDeduplicationId"] = burial.message_id
    return entry, size_bytes(burial.body, attributes)
