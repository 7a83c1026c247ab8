"""What one message costs a consumer: billfleet beside its peers, on the same endpoint and run.

Run it as `python bench/consume.py [--messages N] [--only NAME…] [--quick] [--json FILE]`. Each
contestant empties a queue of its own, of messages of 500 bytes, with a handler that does nothing;
then it is stopped in mid-drain by SIGTERM and by kill -9. Peers are installed on first use into
environments of their own. The table goes to the terminal, table and chart to `bench/results`.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bar_chart import Bar, draw
from contest import Drained, GaveUp, Stopped, drain_queue, stop_dead, stop_politely
from contestants import NODE, Contestant, contestants
from queue_arena import Arena, open_arena

RESULTS = Path(__file__).with_name("results")
COUNTED = 5_000
KILLED = 3_000
QUICK = 2_000


@dataclass
class Row:
    """All figures of one contestant."""

    name: str
    dedupes: bool
    versions: dict[str, str]
    drained: Drained | None = None
    counted: Drained | None = None
    terminated: Stopped | None = None
    killed: Stopped | None = None
    failures: list[str] = field(default_factory=list)


def main(arguments: Sequence[str]) -> None:
    """Run the contest and show it."""
    options = _options(arguments)
    chosen = [one for one in contestants() if _is_wanted(one, options.only)]
    rows: list[Row] = []
    with open_arena(NODE, options.tables) as arena:
        for contestant in chosen:
            say(f"{contestant.name} …")
            rows.append(run(contestant, arena, options.messages, costs_only=options.costs))
            if options.json:
                # After each of them: a run that is stopped has measured something all the same.
                Path(options.json).write_text(as_json(rows, options.messages))
    rows.sort(key=lambda row: row.drained.cpu_s_per_1000 if row.drained else float("inf"))
    Console(width=180).print(table(rows, options.messages))
    if options.save:
        save(rows, options.messages)


def run(contestant: Contestant, arena: Arena, messages: int, *, costs_only: bool) -> Row:
    """All trials of one contestant. One that gives up loses that trial only."""
    row = Row(contestant.name, contestant.dedupes, contestant.versions())
    count = min(messages, contestant.messages_max)

    def attempt(trial: str) -> None:
        try:
            if trial == "drained":
                row.drained = drain_queue(contestant, arena, count, counted=False)
            elif trial == "counted":
                row.counted = drain_queue(contestant, arena, min(count, COUNTED), counted=True)
            elif trial == "terminated":
                row.terminated = stop_politely(contestant, arena)
            else:
                row.killed = stop_dead(contestant, arena, min(count, KILLED))
        except GaveUp as error:
            row.failures.append(f"{trial}: {error}")
            say(f"  {trial}: {str(error)[:300]}")

    for trial in ("drained",) if costs_only else ("drained", "counted", "terminated", "killed"):
        attempt(trial)
    return row


def table(rows: Sequence[Row], messages: int) -> Table:
    """The table, cheapest first."""
    made = Table(title=f"{messages:,} messages of 500 bytes, handler without work, one process")
    made.add_column("consumer", no_wrap=True)
    for heading in HEADINGS:
        made.add_column(heading, justify="right")
    for row in rows:
        made.add_row(row.name, *cells(row), style="bold" if row.name.startswith("b") else "")
    return made


HEADINGS = (
    "dedupes",
    "CPU s/1,000",
    "messages/s",
    "calls/message",
    "peak MB",
    "first receive s",
    "lost",
    "duplicated",
    "SIGTERM: exit s",
    "left invisible",
    "killed in handler",
    "repeats finished",
    "kill -9: duplicated",
)


def cells(row: Row) -> list[str]:
    """What stands in the row of one contestant, in the order of `HEADINGS`."""
    drained, counted, stopped, killed = row.drained, row.counted, row.terminated, row.killed
    shown = ["yes" if row.dedupes else "no"]
    if drained is None:
        shown += ["gave up", "", "", "", "", "", ""]
    else:
        calls = f"{counted.calls_per_message:.2f}" if counted else ""
        shown += [
            f"{drained.cpu_s_per_1000:.3f}",
            f"{drained.messages_per_s:,.0f}",
            calls,
            f"{drained.peak_mb:.0f}",
            f"{drained.first_receive_s:.2f}",
            str(drained.lost),
            str(drained.duplicated),
        ]
    if stopped is None:
        shown += ["", "", "", ""]
    else:
        ended = f"{stopped.exit_s:.1f}" if stopped.exit_code is not None else "killed after 30"
        left = (stopped.left_invisible, stopped.killed_in_handler, stopped.repeated)
        shown += [ended, *(str(figure) for figure in left)]
    return [*shown, str(killed.duplicated) if killed else ""]


def as_json(rows: Sequence[Row], messages: int) -> str:
    """Every figure of every trial."""
    said = {
        "messages": messages,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "rows": [
            {
                **asdict(row),
                "cpu_s_per_1000": row.drained.cpu_s_per_1000 if row.drained else None,
                "messages_per_s": row.drained.messages_per_s if row.drained else None,
                "calls_per_message": row.counted.calls_per_message if row.counted else None,
            }
            for row in rows
        ],
    }
    return json.dumps(said, indent=2) + "\n"


def save(rows: Sequence[Row], messages: int) -> None:
    """Table, chart and figures, for the README."""
    RESULTS.mkdir(exist_ok=True)
    bars = [
        Bar(row.name, row.drained.cpu_s_per_1000, row.name.startswith("billfleet"), row.dedupes)
        for row in rows
        if row.drained
    ]
    title = f"CPU seconds per 1,000 messages ({messages:,} messages, logarithmic)"
    (RESULTS / "consume.svg").write_text(draw(title, bars))
    (RESULTS / "consume.json").write_text(as_json(rows, messages))
    (RESULTS / "consume.md").write_text(as_markdown(rows, messages))


def as_markdown(rows: Sequence[Row], messages: int) -> str:
    """The table for the README, with versions and how to run it again."""
    lines = [
        f"{messages:,} messages of 500 bytes, already queued; a handler without work; one consumer",
        "process; fauxqs and ministack on loopback. CPU is that of the consumer's processes, from",
        "the first settled message to the last. Run it again with `make bench-consume`.",
        f"The machine's load was {os.getloadavg()[2]:.0f} on {os.cpu_count()} cores.",
        "",
        f"| consumer | {' | '.join(HEADINGS)} |",
        "|---|" + "---:|" * len(HEADINGS),
    ]
    lines += [f"| {row.name} | {' | '.join(cells(row))} |" for row in rows]
    versions = sorted({f"{n} {v}" for row in rows for n, v in row.versions.items()})
    fewer = [
        f"{row.name}: {row.drained.messages:,} messages"
        for row in rows
        if row.drained and row.drained.messages < messages * 0.9
    ]
    lines += ["", f"Versions: {', '.join(versions)}; {machine()}."]
    if fewer:
        lines.append(f"Fewer messages: {'; '.join(fewer)}.")
    return "\n".join(lines) + "\n"


def machine() -> str:
    """What it was measured on."""
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"


def say(text: str) -> None:
    """Progress, beside the table."""
    print(text, file=sys.stderr, flush=True)


def _is_wanted(contestant: Contestant, only: Sequence[str]) -> bool:
    return not only or any(part in contestant.name for part in only)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=50_000)
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
        options.messages, options.costs = min(options.messages, QUICK), True
    return options


if __name__ == "__main__":
    main(sys.argv[1:])
