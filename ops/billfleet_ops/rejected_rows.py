"""The file of rows that an import left out: as they were, with line and reason, to be repaired.

`csv_import` writes it before it commits, so that no row is ever left out without a trace. The
two columns that it adds are ignored when the repaired file is imported again. It knows CSV and
reasons, not accounts.
"""

import csv
from collections.abc import Iterable
from pathlib import Path

from billfleet_ops.account_columns import Problem
from billfleet_ops.csv_file import CsvFile
from billfleet_ops.errors import ConfigurationWrong, Refused, file_errors_mapped

LINE_COLUMN = "rejected_line"
REASON_COLUMN = "rejected_because"


def refuse_to_overwrite(path: Path) -> None:
    """Raise `Refused` when the file is there: somebody may be repairing it."""
    if not path.parent.is_dir():
        raise ConfigurationWrong(
            "There is no such directory for the file of rejected rows",
            where=str(path.parent),
            remedy="Create it, or name another file with --rejected-to.",
        )
    if path.exists():
        raise Refused(
            "The file for rejected rows exists already",
            where=str(path),
            remedy="Import or remove it first, or name another with --rejected-to.",
        )


def write_rejected(
    path: Path, source: Path, encoding: str | None, problems: Iterable[Problem]
) -> None:
    """Read the source once more and write the rows that have problems.

    Raises:
        Refused: the file is there already.
        OpsError: it can't be written; the message says why.
    """
    reasons: dict[int, list[str]] = {}
    for problem in problems:
        reasons.setdefault(problem.line, []).append(f"{problem.column}: {problem.reason}")
    refuse_to_overwrite(path)
    file = CsvFile(source, encoding=encoding)
    try:
        with file_errors_mapped(path), path.open("x", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow([*file.header, LINE_COLUMN, REASON_COLUMN])
            for record in file.records():
                if record.line in reasons:
                    # Short or long rows are brought to the header's width, or the reason would
                    # stand in the wrong column.
                    cells = [*record.values, *[""] * len(file.header)][: len(file.header)]
                    writer.writerow([*cells, record.line, "; ".join(reasons[record.line])])
    finally:
        file.close()
