"""What a worker takes when it does nothing, when it holds a thousand messages, and to start.

Run it as `python bench/footprint.py`; it prints five figures. One is of `billfleet worker run
rebill` on the embedded stack. For the others the worker is the contest's, with everything that a
`rebill` worker imports (SQLAlchemy, asyncpg, ...), on the contest's endpoints. Memory is resident
memory as the kernel counts it. The CPU of the start says more than its seconds where a machine
has other work.
"""

import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from billfleet_ops.local.stack import EmbeddedStack
from contest import Trial, open_trial
from contestants import NODE, contestants
from fleet_worker import running_workers
from queue_arena import Arena, open_arena

IN_FLIGHT = 1_000
STARTS = 3
SETTLING_S = 4.0
PATIENCE_S = 60.0
REAL = {"BENCH_IMPORTS": "1"}


def main() -> None:
    """Measure and print."""
    with open_arena(NODE) as arena:
        starts = [idle(arena) for _ in range(STARTS)]
        first_receive_s = statistics.median(start.first_receive_s for start in starts)
        cpu_s = statistics.median(start.cpu_s for start in starts)
        idle_mb = max(start.idle_mb for start in starts)
        full_mb = full(arena)
    print(f"worker run rebill, idle     {idle_fleet_mb():6.1f} MB")
    print(f"start to first receive      {first_receive_s:6.2f} s   (median of {STARTS})")
    print(f"CPU of the start            {cpu_s:6.2f} s   (median of {STARTS})")
    print(f"idle worker, resident       {idle_mb:6.1f} MB")
    print(f"{IN_FLIGHT:,} in flight, resident   {full_mb:6.1f} MB")


@dataclass(frozen=True)
class Start:
    """A start to the first receive, and memory when nothing comes."""

    first_receive_s: float
    cpu_s: float
    idle_mb: float


def idle(arena: Arena) -> Start:
    """Start a worker without work."""
    with open_trial(OURS, arena, 1, **REAL) as trial:
        arena.calls()
        started_s = time.monotonic()
        with trial.process() as child:
            while not arena.calls().get("ReceiveMessage"):
                _look(trial, child.poll(), started_s)
            first_s = time.monotonic() - started_s
            used = psutil.Process(child.pid).cpu_times()
            time.sleep(SETTLING_S)
            return Start(first_s, used.user + used.system, _rss_mb(child.pid))


def idle_fleet_mb() -> float:
    """Memory of a worker as the fleet runs it, when nothing comes."""
    with tempfile.TemporaryDirectory(prefix="billfleet-bench-") as folder:
        stack = EmbeddedStack(Path(folder), environ={}, stack="billfleet-bench", say=lambda _: None)
        with stack.running(fresh=True):
            environ = {**os.environ, **stack.environment(), "BILLFLEET_HOME": folder}
            with running_workers(environ, Path(folder) / "worker.log", ["rebill"]) as pid:
                time.sleep(SETTLING_S)
                return _rss_mb(pid)


def full(arena: Arena) -> float:
    """Memory when all messages are at their handlers."""
    settings = {"BENCH_IN_FLIGHT": str(IN_FLIGHT), "BENCH_HANDLER_S": "20", "BENCH_LEASE_S": "60"}
    with open_trial(OURS, arena, IN_FLIGHT, **REAL, **settings) as trial:
        started_s = time.monotonic()
        with trial.process() as child:
            while sum(trial.effects.begun()) < IN_FLIGHT:
                _look(trial, child.poll(), started_s)
            return _rss_mb(child.pid)


def _look(trial: Trial, code: int | None, started_s: float) -> None:
    if code is not None or time.monotonic() - started_s > PATIENCE_S:
        sys.exit(f"The worker did not get there (exit code {code}); it said: {trial.said()}")
    time.sleep(0.01)


def _rss_mb(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 1e6


OURS = next(one for one in contestants() if one.name == "billfleet lean")


if __name__ == "__main__":
    main()
