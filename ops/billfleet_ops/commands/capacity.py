"""`billfleet capacity`: what so many messages a day need, and what that costs.

The arithmetic is `billfleet_ops.capacity`'s; this module takes the arguments and prints.
"""

from dataclasses import asdict
from typing import Annotated

import typer

from billfleet_ops.capacity import Assumptions, PerMessage, capacity
from billfleet_ops.output import Cell, Output
from billfleet_ops.prices import prices
from billfleet_ops.teaching import lesson

EPILOG = lesson(
    ("billfleet capacity --messages-per-day 1000000000", "the answer for a billion a day"),
    (
        "billfleet capacity --messages-per-day 5000000 --cpu-ms 2.5 --peak 10",
        "a heavier handler, and traffic that comes in the morning",
    ),
    ("billfleet capacity --messages-per-day 1000000 --json", "for a program"),
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("capacity", epilog=EPILOG)(say_capacity)


def say_capacity(
    messages_per_day: Annotated[
        int, typer.Option("--messages-per-day", metavar="N", min=1, help="Of all queues.")
    ],
    cpu_ms: Annotated[
        float, typer.Option("--cpu-ms", min=0.01, help="CPU of a message, measured on your work.")
    ] = PerMessage().cpu_ms,
    peak: Annotated[
        float, typer.Option("--peak", min=1, help="The busiest minute against the average.")
    ] = Assumptions().peak_factor,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
) -> None:
    """Say how many tasks, calls, units and dollars so many messages a day need.

    It is arithmetic on what one message was measured to cost and on list prices with a date;
    ops/guides/capacity.md explains each line. The network, alarms and storage of files are
    in `billfleet deploy plan`.
    """
    listed = prices()
    found = capacity(
        messages_per_day, PerMessage(cpu_ms=cpu_ms), Assumptions(peak_factor=peak), listed
    )
    output = Output()
    if as_json:
        sums = {"usd_per_day": found.usd_per_day, "usd_per_million": found.usd_per_million}
        output.json(asdict(found) | sums | {"prices_as_of": listed.as_of})
        return
    rows: list[tuple[Cell, ...]] = [
        (line.name, f"{line.amount:,.0f} {line.unit}", f"{line.usd_per_day:,.2f}", line.because)
        for line in found.lines
    ]
    rows.append(("together", "", f"{found.usd_per_day:,.2f}", ""))
    output.table(("what", "how much", "USD a day", "because"), rows)
    output.say(
        f"{messages_per_day:,} messages a day: {found.average_per_s:,.0f} a second on average, "
        f"{found.peak_per_s:,.0f} at the peak; {found.usd_per_million:.2f} USD a million. "
        f"List prices of {listed.region}, {listed.as_of}."
    )
    for warning in found.warnings:
        output.say(f"Mind: {warning}")
