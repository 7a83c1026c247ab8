"""A sender written by hand: aiobotocore, batches of ten, eight at once."""

import asyncio
import sys
from typing import Any

import uvloop
from aiobotocore.session import get_session

from peers.bodies import entries
from peers.place import QUEUE_URL, REGION
from peers.stopwatch import measured

AT_ONCE = 8


async def main(count: int) -> None:
    """Send them all."""
    starts = iter(range(0, count, 10))

    async def send(client: Any) -> None:
        for first in starts:
            batch = entries(first, min(10, count - first))
            answer = await client.send_message_batch(QueueUrl=QUEUE_URL, Entries=batch)
            assert len(answer["Successful"]) == len(batch)

    async with get_session().create_client("sqs", region_name=REGION) as client:
        with measured():
            await asyncio.gather(*(send(client) for _ in range(AT_ONCE)))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
