"""Celery on SQS. `consume` runs a worker with `BENCH_POOL`, `send N` sends N messages."""

import os
import sys
import time

from celery import Celery  # type: ignore[import-not-found]

from peers.effects import Effects
from peers.place import HANDLER_S, QUEUE, QUEUE_URL, REGION, SQS_URL
from peers.stopwatch import measured

PAYLOAD = os.environ.get("BENCH_PAYLOAD", "")
KEY, SECRET = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]

app = Celery("bench", broker=f"sqs://{KEY}:{SECRET}@{SQS_URL.removeprefix('http://')}")
app.conf.update(
    task_default_queue=QUEUE,
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "region": REGION,
        "is_secure": False,
        "wait_time_seconds": 20,
        "predefined_queues": {
            QUEUE: {"url": QUEUE_URL, "access_key_id": KEY, "secret_access_key": SECRET}
        },
    },
)
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")
_effects: list[Effects] = []


@app.task(name="bench.handle")  # type: ignore[untyped-decorator]
def handle(text: str) -> None:
    """Do nothing."""
    if not _effects:
        _effects.append(Effects())
    begun = _effects[0].begin(text)
    if HANDLER_S:
        time.sleep(HANDLER_S)
    _effects[0].end(begun)


if __name__ == "__main__":
    if sys.argv[1] == "consume":
        pool = os.environ.get("BENCH_POOL", "threads")
        app.worker_main(["worker", "--loglevel=INFO", f"--pool={pool}", "--concurrency=10", *QUIET])
    else:
        with measured():
            for _ in range(int(sys.argv[2])):
                handle.delay(PAYLOAD)
