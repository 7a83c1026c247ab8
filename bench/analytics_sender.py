"""The producing process of the analytics benchmark: sends, and waits while enough is queued.

`analytics.py` starts it with the number of events, of tenants, and the instant they are made for.
Every call of the emulator looks at each message that lies in the queue, so no more lie there than
the worker takes at once and a little.
"""

import asyncio
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from analytics_traffic import traffic, with_copies
from billfleet_ops.clients import Clients
from billfleet_producers import Producer
from billfleet_producers.outgoing import Outgoing

QUEUED_MAX = 600
AT_ONCE = 100
LOOK_AGAIN_S = 0.02


class Backlog:
    """How much lies in the queue, delivered or not."""

    def __init__(self, stack: str) -> None:
        region, endpoint_url = os.environ["AWS_REGION"], os.environ["AWS_ENDPOINT_URL"]
        self._sqs = Clients(region=region, endpoint_url=endpoint_url).sqs
        self._url = self._sqs.get_queue_url(QueueName=f"{stack}-analytics")["QueueUrl"]

    def depth(self) -> int:
        """Messages, those that a worker has in hand among them."""
        said = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["All"])
        attributes = said["Attributes"]
        waiting = int(attributes["ApproximateNumberOfMessages"])
        return waiting + int(attributes["ApproximateNumberOfMessagesNotVisible"])


def messages(producer: Producer, events: int, tenants: int, now: datetime) -> Iterator[Outgoing]:
    """Every message; of a second copy the same one again, or another with the same event.

    The other one has a dedupe key of its own, so that it passes the claim and meets its row.
    """
    sent: dict[int, Outgoing] = {}
    for one, is_copy in with_copies(traffic(events, tenants, now)):
        key = f"again-{one.number}" if is_copy else None
        message = sent.pop(one.number, None) if is_copy else None
        message = message or producer.prepare(one.event(), tenant=one.tenant, dedupe_key=key)
        if one.again == "message" and not is_copy:
            sent[one.number] = message
        yield message


async def send(events: int, tenants: int, now: datetime) -> None:
    """Send everything, at the pace at which it is taken."""
    stack = os.environ["BILLFLEET_STACK"]
    backlog = Backlog(stack)
    async with Producer(stack=stack, source="/bench") as producer:
        source = messages(producer, events, tenants, now)
        while batch := list(islice(source, AT_ONCE)):
            while backlog.depth() > QUEUED_MAX - AT_ONCE:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(LOOK_AGAIN_S)
            (await producer.send_batch(batch)).raise_for_failures()


if __name__ == "__main__":
    asyncio.run(send(int(sys.argv[1]), int(sys.argv[2]), datetime.fromisoformat(sys.argv[3])))
