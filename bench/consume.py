"""What one message costs a consumer: billfleet beside its peers, on the same endpoint and run.

Run it as `python bench/consume.py [--messages N …] [--only NAME…] [--quick] [--json FILE]`. Each
contestant empties a queue of its own, of messages of 500 bytes, with a handler that does nothing;
then it is stopped in mid-drain by SIGTERM and by kill -9. Peers are installed on first use into
environments of their own. The table goes to the terminal, table and chart to `bench/results`.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from consume_report import Row, as_json, save, table
from contest import GaveUp, drain_queue, stop_dead, stop_politely
from contestants import NODE, Contestant, contestants
from queue_arena import Arena, open_arena

SIZES = (10_000, 50_000)
COUNTED = 5_000
KILLED = 3_000
QUICK = 2_000


def main(arguments: Sequence[str]) -> None:
    """Run the contest and show it."""
    options = _options(arguments)
    sizes: list[int] = sorted(set(options.messages))
    chosen = [one for one in contestants() if _is_wanted(one, options.only)]
    rows: list[Row] = []
    with open_arena(NODE, options.tables) as arena:
        for contestant in chosen:
            say(f"{contestant.name} …")
            rows.append(run(contestant, arena, sizes, costs_only=options.costs))
            if options.json:
                # After each of them: a run that is stopped has measured something all the same.
                Path(options.json).write_text(as_json(rows, sizes))
    rows.sort(key=lambda row: row.cpu_s_per_1000)
    Console(width=180).print(table(rows, sizes))
    if options.save:
        save(rows, sizes)


def run(contestant: Contestant, arena: Arena, sizes: Sequence[int], *, costs_only: bool) -> Row:
    """All trials of one contestant. One that gives up loses that trial only."""
    row = Row(contestant.name, contestant.dedupes, contestant.versions())
    counts = sorted({min(size, contestant.messages_max) for size in sizes})

    def drain(count: int) -> None:
        row.drained[count] = drain_queue(contestant, arena, count, counted=False)

    def count_calls() -> None:
        row.counted = drain_queue(contestant, arena, min(counts[-1], COUNTED), counted=True)

    def terminate() -> None:
        row.terminated = stop_politely(contestant, arena)

    def kill() -> None:
        row.killed = stop_dead(contestant, arena, min(counts[-1], KILLED))

    trials: dict[str, Callable[[], None]] = {
        f"{count:,} messages": partial(drain, count) for count in counts
    }
    if not costs_only:
        trials |= {"calls counted": count_calls, "SIGTERM": terminate, "kill -9": kill}
    for name, trial in trials.items():
        try:
            trial()
        except GaveUp as error:
            row.failures.append(f"{name}: {error}")
            say(f"  {name}: {error}; it said: {error.said[-300:]}")
    return row


def say(text: str) -> None:
    """Progress, beside the table."""
    print(text, file=sys.stderr, flush=True)


def _is_wanted(contestant: Contestant, only: Sequence[str]) -> bool:
    return not only or any(part in contestant.name for part in only)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, nargs="+", default=SIZES, metavar="N")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="parts of names")
    parser.add_argument("--costs", action="store_true", help="costs only: nobody is stopped")
    parser.add_argument(
        "--tables",
        choices=["quick", "ministack"],
        default="quick",
        help="who stands in for DynamoDB (quick: of the queue endpoint's speed)",
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} messages, costs only")
    parser.add_argument("--json", metavar="FILE", help="write every figure")
    parser.add_argument("--save", action="store_true", help="write to bench/results")
    options = parser.parse_args(arguments)
    if options.quick:
        options.messages, options.costs = [QUICK], True
    return options


if __name__ == "__main__":
    main(sys.argv[1:])
