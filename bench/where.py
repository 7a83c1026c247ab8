"""Where the CPU of a message goes: the contest's worker, looked at 250 times a second from outside.

Run it as `python bench/where.py [--messages N]`. py-spy, in an environment of its own, takes the
stacks while the worker empties a queue; each sample counts for the part of the message's life
that its innermost frame belongs to. It needs the right to trace another process (root, or
`kernel.yama.ptrace_scope=0`). Tracing costs the worker something: read the shares.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from contest import Trial, open_trial
from contestants import NODE, contestants
from peer_homes import PythonHome
from queue_arena import open_arena

PY_SPY = PythonHome("py-spy", ("py-spy",))
RATE_HZ = 250
POLL_S = 0.02

LEAVES = {
    "_Connection.ask (": "sockets: writing requests",
    "Runner.run (": "event loop: waiting, reading answers, waking tasks",
}
"""Frames that only matter as the innermost one: C code below them has no frame of its own."""
PARTS = (
    ("payload_hash (", "decode: the payload's hash"),
    ("billfleet_contracts/", "decode: bytes to a typed event"),
    ("lean/sigv4", "client: signing"),
    ("lean/", "client: JSON, headers, connections"),
    ("adapters/dedupe", "claim, complete: the statements"),
    ("adapters/dynamodb", "claim, complete: the statements"),
    ("adapters/partiql", "claim, complete: the statements"),
    ("adapters/sqs", "receive, delete: entries and answers"),
    ("adapters/aws_errors", "receive, delete: entries and answers"),
    ("adapters/statsd", "record: metrics"),
    ("runtime/log", "record: the log line"),
    ("runtime/rec", "record: tally and recollection"),
    ("runtime/joint_call", "handle: the call"),
    ("billfleet_worker.py", "handle: the call"),
    ("runtime/", "delivery: stages, tasks, decisions"),
)
REST = "anything else"


def main(arguments: Sequence[str]) -> None:
    """Trace one run and show the shares."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=50_000)
    count = parser.parse_args(arguments).messages
    [ours] = [one for one in contestants() if one.name == "billfleet lean"]
    with open_arena(NODE) as arena, open_trial(ours, arena, count) as trial:
        samples = traced(trial, count)
    shown = Table(title=f"Where the CPU of a message goes ({count:,} messages, {RATE_HZ} Hz)")
    shown.add_column("part")
    shown.add_column("share", justify="right")
    total = sum(samples.values())
    for part, seen in samples.most_common():
        shown.add_row(part, f"{seen / total:.1%}")
    Console().print(shown)


def traced(trial: Trial, count: int) -> Counter[str]:
    """Samples by part, from the first settled message to the last."""
    with tempfile.TemporaryDirectory(prefix="billfleet-bench-") as folder:
        stacks = Path(folder) / "stacks"
        spy = [str(PY_SPY.python.parent / "py-spy"), "record", "--format", "raw"]
        with trial.process() as child:
            trial.wait_for(child, count - 1)
            spy += ["--rate", str(RATE_HZ), "--output", str(stacks), "--pid", str(child.pid)]
            tracer = subprocess.Popen(spy, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            while trial.depth() and tracer.poll() is None:
                time.sleep(POLL_S)
            if tracer.poll() is None:
                tracer.send_signal(signal.SIGINT)
            said, _ = tracer.communicate()
            os.kill(child.pid, signal.SIGTERM)
            child.wait()
        if not stacks.exists():
            sys.exit(f"py-spy could not trace the worker:\n{said.decode(errors='replace')}")
        samples: Counter[str] = Counter()
        for line in stacks.read_text().splitlines():
            stack, _, seen = line.rpartition(" ")
            frames = stack.split(";")
            # A thread of the pool that waits for work looks busy from outside.
            if frames[0].startswith("<module>"):
                samples[part_of(frames)] += int(seen)
        return samples


def part_of(stack: Sequence[str]) -> str:
    """The part of a message's life that a stack belongs to, outermost frame first."""
    for start, part in LEAVES.items():
        if stack[-1].startswith(start):
            return part
    for frame in reversed(stack):
        for mark, part in PARTS:
            if mark in frame:
                return part
    return REST


if __name__ == "__main__":
    main(sys.argv[1:])
