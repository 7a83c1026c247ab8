"""The usual sender: boto3, batches of ten; with `single`, one by one."""

import sys
from typing import Any

import boto3

from peers.bodies import body, entries
from peers.place import QUEUE_URL, REGION
from peers.stopwatch import measured


def main(count: int, *, is_single: bool) -> None:
    """Send them all."""
    client = boto3.client("sqs", region_name=REGION)
    with measured():
        if is_single:
            for number in range(count):
                client.send_message(QueueUrl=QUEUE_URL, MessageBody=body(number))
            return
        for first in range(0, count, 10):
            batch: Any = entries(first, min(10, count - first))
            client.send_message_batch(QueueUrl=QUEUE_URL, Entries=batch)


if __name__ == "__main__":
    main(int(sys.argv[1]), is_single="single" in sys.argv)
