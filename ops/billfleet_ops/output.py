"""How commands speak: tables and lines for people, JSON for programs, problems on stderr.

Every command gets an `Output`. Colour appears only on a terminal, and never with NO_COLOR. It
formats and prints; it does not know what the figures mean.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import IO, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from billfleet_ops.errors import OpsError

WIDTH_OF_A_FILE = 160
"""Columns when nobody's terminal sets a limit, so that names are not cut in a log or a pipe."""
NONE_SHOWN = "-"

Cell = str | int | float | None


class Output:
    """Standard output and standard error of one command."""

    def __init__(self, stdout: IO[str] | None = None, stderr: IO[str] | None = None) -> None:
        self._stdout = stdout or sys.stdout
        self.console = _console(self._stdout)
        self.problems = _console(stderr or sys.stderr)

    def say(self, text: str, style: str = "") -> None:
        """One line for a person."""
        self.console.print(Text(text, style=style))

    def note(self, text: str) -> None:
        """One line for a person that must not mix with the result: it goes to stderr."""
        self.problems.print(Text(text))

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, title: str = ""
    ) -> None:
        """A table; numbers stand right, what is unknown is shown as '-'."""
        self.console.print(table(columns, rows, title=title))

    def json(self, value: Any) -> None:
        """One JSON document and nothing else."""
        json.dump(value, self._stdout, indent=2, default=_plain)
        self._stdout.write("\n")

    def problem(self, error: OpsError) -> None:
        """What happened, where, and what to do."""
        shown = Text()
        shown.append("error: ", style="bold red").append(f"{error.what}\n")
        shown.append("where: ", style="bold").append(f"{error.where}\n")
        shown.append("to do: ", style="bold").append(error.remedy)
        self.problems.print(shown)


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, title: str = "") -> Table:
    """A rich table of plain cells; text from outside is never read as markup."""
    listed = [tuple(row) for row in rows]
    drawn = Table(title=title or None, title_justify="left", header_style="bold")
    for number, column in enumerate(columns):
        numeric = any(isinstance(row[number], int | float) for row in listed)
        drawn.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        drawn.add_row(*(Text(NONE_SHOWN if cell is None else str(cell)) for cell in row))
    return drawn


def duration(seconds: float | None) -> str:
    """Seconds as a person reads them: 42 s, 5 min, 3.5 h, 2.0 d."""
    if seconds is None:
        return NONE_SHOWN
    for size, unit in ((86_400, "d"), (3_600, "h")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


def _console(stream: IO[str]) -> Console:
    is_terminal = stream.isatty()
    return Console(
        file=stream,
        width=None if is_terminal else WIDTH_OF_A_FILE,
        no_color=None if is_terminal else True,
        highlight=False,
        soft_wrap=False,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)
