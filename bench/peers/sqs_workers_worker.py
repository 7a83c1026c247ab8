"""sqs-workers. `consume` processes the queue, `send N` sends N messages."""

import os
import sys
import time

from sqs_workers import SQSEnv  # type: ignore[import-not-found]

from peers.effects import Effects
from peers.place import HANDLER_S, QUEUE
from peers.stopwatch import measured

PAYLOAD = os.environ.get("BENCH_PAYLOAD", "")
environment = SQSEnv(codec="json")
queue = environment.queue(QUEUE)
_effects: list[Effects] = []


@queue.processor("handle")  # type: ignore[untyped-decorator]
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
        queue.process_queue(wait_second=20)
    else:
        with measured():
            for _ in range(int(sys.argv[2])):
                handle.delay(text=PAYLOAD)
