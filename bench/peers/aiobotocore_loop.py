"""A loop written by hand: aiobotocore, ten receivers, batch deletes, no dedupe."""

import asyncio
import signal
from typing import Any

import uvloop
from aiobotocore.session import get_session

from peers.effects import Effects
from peers.place import HANDLER_S, QUEUE_URL, RECEIVERS, REGION


async def receive(client: Any, effects: Effects, stop: asyncio.Event) -> None:
    """Receive, handle, delete, until told to stop."""
    while not stop.is_set():
        answer = await client.receive_message(
            QueueUrl=QUEUE_URL, MaxNumberOfMessages=10, WaitTimeSeconds=20
        )
        entries = []
        for number, message in enumerate(answer.get("Messages", ())):
            begun = effects.begin(message["Body"])
            if HANDLER_S:
                await asyncio.sleep(HANDLER_S)
            effects.end(begun)
            entries.append({"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]})
        if entries:
            await client.delete_message_batch(QueueUrl=QUEUE_URL, Entries=entries)


async def main() -> None:
    """Ten receivers until SIGTERM."""
    effects, stop = Effects(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with get_session().create_client("sqs", region_name=REGION) as client:
        tasks = [asyncio.create_task(receive(client, effects, stop)) for _ in range(RECEIVERS)]
        await stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    uvloop.run(main())
