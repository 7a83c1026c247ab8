"""The floor of sending: signed HTTP and nothing else, batches of ten, eight at once."""

import asyncio
import sys

import aiohttp
import uvloop

from peers.bodies import entries
from peers.place import QUEUE_URL
from peers.raw_http import ask
from peers.stopwatch import measured

AT_ONCE = 8


async def main(count: int) -> None:
    """Send them all."""
    starts = iter(range(0, count, 10))

    async def send(http: aiohttp.ClientSession) -> None:
        for first in starts:
            batch = entries(first, min(10, count - first))
            answer = await ask(http, "SendMessageBatch", QueueUrl=QUEUE_URL, Entries=batch)
            assert len(answer["Successful"]) == len(batch)

    async with aiohttp.ClientSession() as http:
        with measured():
            await asyncio.gather(*(send(http) for _ in range(AT_ONCE)))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
