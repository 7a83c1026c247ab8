"""What a sender used: CPU and time of its own process, start-up left out. Standard library only."""

import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def measured() -> Iterator[None]:
    """Print what the block used as one line of JSON, which the benchmark reads."""
    cpu_s, from_s = time.process_time(), time.monotonic()
    yield
    used = {
        "cpu_s": time.process_time() - cpu_s,
        "seconds": time.monotonic() - from_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }
    print(json.dumps(used), flush=True)
