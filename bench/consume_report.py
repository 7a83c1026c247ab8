"""What `consume.py` shows: the table in a terminal and for the README, the chart, every figure.

It measures nothing. A contestant that gave up in a trial has gaps in its row, never a guess.
"""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

from bar_chart import Bar, draw
from contest import Drained, Stopped

RESULTS = Path(__file__).with_name("results")


@dataclass
class Row:
    """All figures of one contestant."""

    name: str
    dedupes: bool
    versions: dict[str, str]
    drained: dict[int, Drained] = field(default_factory=dict)
    """By how many messages there were."""
    counted: Drained | None = None
    terminated: Stopped | None = None
    killed: Stopped | None = None
    failures: list[str] = field(default_factory=list)

    @property
    def largest(self) -> Drained | None:
        """The longest run that it finished."""
        return self.drained[max(self.drained)] if self.drained else None

    @property
    def cpu_s_per_1000(self) -> float:
        """The figure that the rows are ordered by."""
        return self.largest.cpu_s_per_1000 if self.largest else float("inf")


def table(rows: Sequence[Row], sizes: Sequence[int]) -> Table:
    """The table, cheapest first."""
    made = Table(title="messages of 500 bytes, handler without work, one process")
    made.add_column("consumer", no_wrap=True)
    for heading in headings(sizes):
        made.add_column(heading, justify="right")
    for row in rows:
        made.add_row(row.name, *cells(row, sizes), style="bold" if row.name.startswith("b") else "")
    return made


def headings(sizes: Sequence[int]) -> list[str]:
    """The columns after the name."""
    return [
        "dedupes",
        *(f"CPU s/1,000 at {size:,}" for size in sizes),
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
        "kill -9: left invisible",
        "kill -9: handled twice",
        "kill -9: lost",
    ]


def cells(row: Row, sizes: Sequence[int]) -> list[str]:
    """What stands in the row of one contestant, in the order of `headings`."""
    shown = ["yes" if row.dedupes else "no"]
    costs = {size: row.drained.get(size) for size in sizes}
    shown += [f"{one.cpu_s_per_1000:.3f}" if one else "" for one in costs.values()]
    largest, counted, stopped, killed = row.largest, row.counted, row.terminated, row.killed
    if largest is None:
        shown += ["gave up", *[""] * 5]
    else:
        shown += [
            f"{largest.messages_per_s:,.0f}",
            f"{counted.calls_per_message:.2f}" if counted else "",
            f"{largest.peak_mb:.0f}",
            f"{largest.first_receive_s:.2f}",
            str(sum(one.lost for one in row.drained.values())),
            str(sum(one.duplicated for one in row.drained.values())),
        ]
    if stopped is None:
        shown += [""] * 4
    else:
        ended = f"{stopped.exit_s:.1f}" if stopped.exit_code is not None else "killed after 30"
        left = (stopped.left_invisible, stopped.killed_in_handler, stopped.repeated)
        shown += [ended, *(str(figure) for figure in left)]
    if killed is None:
        return [*shown, "", "", ""]
    return [*shown, str(killed.left_invisible), str(killed.duplicated), str(killed.lost)]


def as_json(rows: Sequence[Row], sizes: Sequence[int]) -> str:
    """Every figure of every trial."""
    said = {
        "messages": list(sizes),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "rows": [_figures(row) for row in rows],
    }
    return json.dumps(said, indent=2) + "\n"


def _figures(row: Row) -> dict[str, object]:
    derived = {
        "cpu_s_per_1000": {size: one.cpu_s_per_1000 for size, one in row.drained.items()},
        "messages_per_s": {size: one.messages_per_s for size, one in row.drained.items()},
        "calls_per_message": row.counted.calls_per_message if row.counted else None,
    }
    return {**asdict(row), **derived}


def save(rows: Sequence[Row], sizes: Sequence[int]) -> None:
    """Table, chart and figures, for the README."""
    RESULTS.mkdir(exist_ok=True)
    bars = [
        Bar(
            _bar_name(row, sizes), row.cpu_s_per_1000, row.name.startswith("billfleet"), row.dedupes
        )
        for row in rows
        if row.largest
    ]
    title = f"CPU seconds per 1,000 messages ({max(sizes):,} messages, logarithmic)"
    (RESULTS / "consume.svg").write_text(draw(title, bars))
    (RESULTS / "consume.json").write_text(as_json(rows, sizes))
    (RESULTS / "consume.md").write_text(as_markdown(rows, sizes))


def _bar_name(row: Row, sizes: Sequence[int]) -> str:
    """The contestant, and how many messages it had where it had fewer than others."""
    count = max(row.drained)
    return row.name if count == max(sizes) else f"{row.name} ({count:,})"


def as_markdown(rows: Sequence[Row], sizes: Sequence[int]) -> str:
    """The table for the README, with versions and how to run it again."""
    load, cores = round(os.getloadavg()[2]), os.cpu_count()
    lines = [
        "Messages of 500 bytes, already queued; a handler without work; one consumer process; all",
        "in one run, on loopback: fauxqs for queues and, for whoever dedupes, a table endpoint of",
        "its speed. CPU is that of the consumer's processes, from the first settled message to the",
        "last. Run it again with `make bench-consume`.",
        f"The machine's load was {load} on {cores} cores.",
        "",
        f"| consumer | {' | '.join(headings(sizes))} |",
        "|---|" + "---:|" * len(headings(sizes)),
    ]
    lines += [f"| {row.name} | {' | '.join(cells(row, sizes))} |" for row in rows]
    versions = sorted({f"{n} {v}" for row in rows for n, v in row.versions.items()})
    lines += ["", f"Versions: {', '.join(versions)}; {machine()}."]
    fewer = [
        f"{row.name} {max(row.drained):,}"
        for row in rows
        if row.drained and max(row.drained) < max(sizes)
    ]
    if fewer:
        lines.append(f"The slowest were given fewer messages: {', '.join(fewer)}.")
    lines += [f"{row.name}, {failure}." for row in rows for failure in row.failures]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """What it was measured on."""
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
