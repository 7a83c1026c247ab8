"""taskiq on SQS. The `taskiq` command runs it as a worker; `send N` sends N messages."""

import asyncio
import os
import sys

from taskiq_aio_sqs import SQSBroker  # type: ignore[import-not-found]

from peers.effects import Effects
from peers.place import HANDLER_S, QUEUE, REGION, SQS_URL
from peers.stopwatch import measured

PAYLOAD = os.environ.get("BENCH_PAYLOAD", "")
broker = SQSBroker(
    sqs_queue_name=QUEUE,
    endpoint_url=SQS_URL,
    region_name=REGION,
    aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
    aws_secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    wait_time_seconds=20,
    max_number_of_messages=10,
)
_effects: list[Effects] = []


@broker.task("bench:handle")  # type: ignore[untyped-decorator]
async def handle(text: str) -> None:
    """Do nothing."""
    if not _effects:
        _effects.append(Effects())
    begun = _effects[0].begin(text)
    if HANDLER_S:
        await asyncio.sleep(HANDLER_S)
    _effects[0].end(begun)


async def send(count: int) -> None:
    """Send one after the other."""
    await broker.startup()
    with measured():
        for _ in range(count):
            await handle.kiq(PAYLOAD)
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(send(int(sys.argv[2])))
