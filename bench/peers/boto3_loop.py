"""The usual loop: boto3, one thread, batch deletes, no dedupe."""

import time

import boto3

from peers.effects import Effects
from peers.place import HANDLER_S, QUEUE_URL, REGION


def main() -> None:
    """Receive, handle, delete; for ever."""
    client, effects = boto3.client("sqs", region_name=REGION), Effects()
    while True:
        answer = client.receive_message(
            QueueUrl=QUEUE_URL, MaxNumberOfMessages=10, WaitTimeSeconds=20
        )
        entries: list[dict[str, str]] = []
        for number, message in enumerate(answer.get("Messages", ())):
            begun = effects.begin(message["Body"])
            if HANDLER_S:
                time.sleep(HANDLER_S)
            effects.end(begun)
            entries.append({"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]})
        if entries:
            client.delete_message_batch(QueueUrl=QUEUE_URL, Entries=entries)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
