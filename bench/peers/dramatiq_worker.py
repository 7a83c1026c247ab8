"""dramatiq on SQS. The `dramatiq` command runs it as a worker; `send N` sends N messages."""

import os
import sys
import time

import dramatiq  # type: ignore[import-not-found]
from dramatiq.middleware import AgeLimit, Callbacks, Retries, ShutdownNotifications, TimeLimit  # type: ignore[import-not-found]  # fmt: skip
from dramatiq_sqs import SQSBroker  # type: ignore[import-not-found]

from peers.effects import Effects
from peers.place import HANDLER_S, QUEUE, REGION, SQS_URL
from peers.stopwatch import measured

PAYLOAD = os.environ.get("BENCH_PAYLOAD", "")
broker = SQSBroker(
    middleware=[AgeLimit(), TimeLimit(), ShutdownNotifications(), Callbacks(), Retries()],
    visibility_timeout=None,
    endpoint_url=SQS_URL,
    region_name=REGION,
)
dramatiq.set_broker(broker)
_effects: list[Effects] = []


@dramatiq.actor(queue_name=QUEUE)  # type: ignore[untyped-decorator]
def handle(text: str) -> None:
    """Do nothing."""
    if not _effects:
        _effects.append(Effects())
    begun = _effects[0].begin(text)
    if HANDLER_S:
        time.sleep(HANDLER_S)
    _effects[0].end(begun)


if __name__ == "__main__":
    with measured():
        for _ in range(int(sys.argv[2])):
            handle.send(PAYLOAD)
