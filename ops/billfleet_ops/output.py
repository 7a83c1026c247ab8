"""How commands speak: tables and lines for people, JSON for programs, problems on stderr.

Every command gets an `Output`. Colour appears only on a terminal, and never with NO_COLOR. It
formats and prints; it does not know what the figures mean.
"""

import json
import re
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
COLUMNS_FOLDED_MAX = 3
"""Tables of so few columns are sentences beside names, and fold well."""
FIGURE = re.compile(r"-?\d[\d,]*(\.\d+)?( [A-Z]{3})?$")
_OBEYED = {
    code: "\N{REPLACEMENT CHARACTER}"
    for code in (*range(0x20), *range(0x7F, 0xA0))
    if chr(code) not in "\t\n\r"
}
"""What terminals take for orders."""

Cell = str | int | float | None


class Output:
    """Standard output and standard error of one command."""

    def __init__(self, stdout: IO[str] | None = None, stderr: IO[str] | None = None) -> None:
        self._stdout = stdout or sys.stdout
        self.console = _console(self._stdout)
        self.problems = _console(stderr or sys.stderr)

    def say(self, text: str, style: str = "") -> None:
        """One line for a person."""
        self.console.print(
            Text(harmless(text), style=style), soft_wrap=not self.console.is_terminal
        )

    def note(self, text: str) -> None:
        """One line for a person that must not mix with the result: it goes to stderr."""
        self.problems.print(Text(harmless(text)), soft_wrap=not self.problems.is_terminal)

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, title: str = ""
    ) -> None:
        """A table; numbers stand right, what is unknown is shown as '-'.

        Where a wide one does not fit the terminal, each row is a paragraph instead: a figure that
        is broken over two lines is misread.
        """
        listed = [tuple(row) for row in rows]
        drawn = table(columns, listed, title=title)
        if len(columns) > COLUMNS_FOLDED_MAX and self._is_too_wide(drawn):
            self._paragraphs(columns, listed, title)
        else:
            self.console.print(drawn)

    def _is_too_wide(self, drawn: Table) -> bool:
        room = self.console.options.update(width=WIDTH_OF_A_FILE * 4)
        return self.console.measure(drawn, options=room).maximum > self.console.width

    def _paragraphs(
        self, columns: Sequence[str], rows: Sequence[Sequence[Cell]], title: str
    ) -> None:
        if title:
            self.say(title, "italic")
        width = max(len(column) for column in columns)
        for row in rows:
            for column, cell in zip(columns, row, strict=True):
                self.say(f"  {column:<{width}}  {_shown(cell)}")
            self.say("")

    def json(self, value: Any) -> None:
        """One JSON document and nothing else."""
        json.dump(value, self._stdout, indent=2, default=_plain)
        self._stdout.write("\n")

    def problem(self, error: OpsError) -> None:
        """What happened, where, and what to do."""
        shown = Text()
        shown.append("error: ", style="bold red").append(harmless(f"{error.what}\n"))
        shown.append("where: ", style="bold").append(harmless(f"{error.where}\n"))
        shown.append("to do: ", style="bold").append(harmless(error.remedy))
        self.problems.print(shown, soft_wrap=not self.problems.is_terminal)


def harmless(text: str) -> str:
    """The text without what a terminal would obey: some of it was written by strangers."""
    return text.translate(_OBEYED)


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, title: str = "") -> Table:
    """A rich table of plain cells; text from outside is never read as markup."""
    listed = [tuple(row) for row in rows]
    drawn = Table(title=title or None, title_justify="left", header_style="bold")
    for number, column in enumerate(columns):
        numeric = any(_is_figure(row[number]) for row in listed)
        drawn.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        drawn.add_row(*(Text(_shown(cell)) for cell in row))
    return drawn


def _shown(cell: Cell) -> str:
    return NONE_SHOWN if cell is None else harmless(str(cell))


def _is_figure(cell: Cell) -> bool:
    """A number, or an amount of money that was formatted already."""
    return isinstance(cell, int | float) or (isinstance(cell, str) and bool(FIGURE.match(cell)))


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
