"""Powertools for AWS Lambda outside Lambda: its batch processor over a boto3 loop.

With `BENCH_IDEMPOTENCY=1` each record goes through its DynamoDB idempotency, as its guide shows.
"""

import os
import time
from typing import Any

import boto3
from aws_lambda_powertools.utilities.batch import (  # type: ignore[import-not-found]
    BatchProcessor,
    EventType,
)
from aws_lambda_powertools.utilities.idempotency import (  # type: ignore[import-not-found]
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)

from peers.effects import Effects
from peers.place import HANDLER_S, QUEUE_URL, REGION

TABLE = "bench-powertools"
effects = Effects()


def handle(record: Any) -> dict[str, int]:
    """Do nothing."""
    begun = effects.begin(record["body"])
    if HANDLER_S:
        time.sleep(HANDLER_S)
    effects.end(begun)
    return {"accounts": 1}


if os.environ.get("BENCH_IDEMPOTENCY"):
    wrapped = idempotent_function(
        handle,
        data_keyword_argument="record",
        persistence_store=DynamoDBPersistenceLayer(table_name=TABLE),
        config=IdempotencyConfig(event_key_jmespath="messageId", expires_after_seconds=86_400),
    )
else:
    wrapped = handle


def handle_record(record: Any) -> Any:
    """The processor's form of the handler."""
    return wrapped(record=record.raw_event)


def main() -> None:
    """Receive, process, delete what succeeded; for ever."""
    client = boto3.client("sqs", region_name=REGION)
    # Lambda fails such a batch as a whole; here, as there, its messages come back.
    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    while True:
        answer = client.receive_message(
            QueueUrl=QUEUE_URL, MaxNumberOfMessages=10, WaitTimeSeconds=20
        )
        records = [_record(message) for message in answer.get("Messages", ())]
        if not records:
            continue
        with processor(records, handle_record):
            processor.process()
        failed = {one["itemIdentifier"] for one in processor.response()["batchItemFailures"]}
        entries: Any = [
            {"Id": str(number), "ReceiptHandle": record["receiptHandle"]}
            for number, record in enumerate(records)
            if record["messageId"] not in failed
        ]
        if entries:
            client.delete_message_batch(QueueUrl=QUEUE_URL, Entries=entries)


def _record(message: Any) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {},
        "md5OfBody": message.get("MD5OfBody", ""),
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:bench",
        "awsRegion": REGION,
    }


if __name__ == "__main__":
    main()
