"""The queue port for a function that AWS Lambda calls with its messages.

Lambda receives and deletes; the function answers which messages it did not finish. So receiving
is taking what came with the call, deleting is remembering, and what was not deleted is a failure
of the batch. Hiding and burying go to SQS itself, as in a worker. One object serves one call.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from billfleet_workers.runtime.ports.queue import (
    Burial,
    EntryFailure,
    Hiding,
    Queue,
    Received,
)

EVENT_SOURCE = "aws:sqs"


class NotFromSqs(ValueError):
    """The function was called with something else than messages of SQS."""


class LambdaQueue:
    """The messages of one call, settled through the queue that they came from."""

    def __init__(self, sqs: Queue, event: Mapping[str, Any]) -> None:
        self._sqs = sqs
        self._batch = [_received(record) for record in _records(event)]
        self._deleted: set[str] = set()

    @property
    def name(self) -> str:
        """The catalogue's name of the queue."""
        return self._sqs.name

    @property
    def failures(self) -> list[str]:
        """The ids of the messages that were not finished, in the order in which they came."""
        return [
            message.message_id
            for message in self._batch
            if message.receipt_handle not in self._deleted
        ]

    async def receive(
        self, *, limit: int, wait_s: float, visibility_timeout_s: int
    ) -> Sequence[Received]:
        """What came with the call, all of it."""
        del limit, wait_s, visibility_timeout_s
        return self._batch

    async def delete(self, receipt_handles: Sequence[str]) -> Sequence[EntryFailure | None]:
        """Remember; Lambda deletes what is not reported."""
        self._deleted.update(receipt_handles)
        return [None] * len(receipt_handles)

    async def hide(self, hidings: Sequence[Hiding]) -> Sequence[EntryFailure | None]:
        """Change visibility timeouts; without it a failed message keeps the queue's own."""
        return await self._sqs.hide(hidings)

    async def bury(self, burials: Sequence[Burial]) -> Sequence[EntryFailure | None]:
        """Send to the dead-letter queue."""
        return await self._sqs.bury(burials)

    async def recycle(self) -> None:
        """Nothing hangs that was not asked for."""

    async def close(self) -> None:
        """The queue behind is closed by who opened it."""


def _records(event: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    records = event.get("Records")
    if not isinstance(records, list) or any(
        record.get("eventSource") != EVENT_SOURCE for record in records
    ):
        raise NotFromSqs("this function is triggered by an SQS queue, with Records of aws:sqs")
    return records


def _received(record: Mapping[str, Any]) -> Received:
    system = record.get("attributes", {})
    sent_ms = system.get("SentTimestamp")
    return Received(
        message_id=record["messageId"],
        receipt_handle=record["receiptHandle"],
        body=record["body"],
        receive_count=int(system.get("ApproximateReceiveCount", 1)),
        sent_at=datetime.fromtimestamp(int(sent_ms) / 1000, UTC) if sent_ms else None,
        group_id=system.get("MessageGroupId"),
        attributes={
            name: value["stringValue"]
            for name, value in record.get("messageAttributes", {}).items()
            if "stringValue" in value
        },
    )
