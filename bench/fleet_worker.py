"""A `billfleet worker run` of its own, from ready to drained, for benchmarks of the fleet.

It knows nothing of what the workers do.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

READY_WITHIN_S = 60.0
DRAINED_WITHIN_S = 60.0
POLL_S = 0.02


@contextmanager
def running_workers(environ: Mapping[str, str], log: Path, names: Sequence[str]) -> Iterator[int]:
    """Workers in a process; yields its id, and asserts that its drain adds up."""
    command = [sys.executable, "-m", "billfleet_ops", "worker", "run", *names]
    with log.open("w") as stream:
        workers = subprocess.Popen(command, env=dict(environ), stdout=stream, stderr=stream)
    try:
        deadline_s = time.monotonic() + READY_WITHIN_S
        while "fleet_started" not in log.read_text():
            assert workers.poll() is None, f"the workers ended: {log.read_text()[-2000:]}"
            assert time.monotonic() < deadline_s, f"never started: {log.read_text()[-2000:]}"
            time.sleep(POLL_S)
        yield workers.pid
        workers.send_signal(signal.SIGTERM)
        code = workers.wait(timeout=DRAINED_WITHIN_S)
        assert code == 0, f"the drain failed: {log.read_text()[-2000:]}"
    finally:
        if workers.poll() is None:
            workers.kill()
            workers.wait()
