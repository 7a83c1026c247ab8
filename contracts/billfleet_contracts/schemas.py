"""`python -m billfleet_contracts.schemas [--check] [--directory DIR]`: keep the committed schemas.

Run by `make schemas` and, with `--check`, by CI. It writes what `documents` generates, and
refuses a change of a shipped version that would break messages in flight, in both modes: else
writing would hide the break from the next check.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from billfleet_contracts.catalogue import CATALOGUE, Catalogue
from billfleet_contracts.compatibility import breaking_changes
from billfleet_contracts.documents import documents
from billfleet_contracts.typescript import FILE_NAME, typescript

DIRECTORY: Final = Path(__file__).resolve().parent.parent / "schemas"

_ADVICE = (
    "Messages of this version are in flight. Restore it, and make the change in a new version "
    "(.v<N+1>) with an upcast from this one."
)


def find_breaks(directory: Path, catalogue: Catalogue = CATALOGUE) -> list[str]:
    """What in the catalogue breaks messages that the committed schemas promise to read."""
    generated = documents(catalogue)
    return [
        line
        for path in sorted(directory.glob("billfleet.*.json"))
        for line in _breaks_of(path, generated.get(path.name), catalogue)
    ]


def _breaks_of(path: Path, new: dict[str, Any] | None, catalogue: Catalogue) -> Iterator[str]:
    event_type = path.name.removesuffix(".json")
    if new is not None:
        for change in breaking_changes(json.loads(path.read_text("utf-8")), new):
            yield f"{event_type} breaks at {change}. {_ADVICE}"
    elif event_type not in catalogue.upcasts.old_types:
        yield f"{event_type} is shipped, but no longer read. {_ADVICE}"


def find_drift(directory: Path, catalogue: Catalogue = CATALOGUE) -> list[str]:
    """Which committed files are missing or differ from what the catalogue generates."""
    drift = []
    for name, text in _texts(catalogue).items():
        path = directory / name
        if not path.exists():
            drift.append(f"{name} is missing: run `make schemas` and commit it.")
        elif path.read_text("utf-8") != text:
            drift.append(f"{name} is out of date: run `make schemas` and commit it.")
    kept = (f"{old}.json" for old in sorted(catalogue.upcasts.old_types))
    return drift + [
        f"{name} is missing: the schema of a version that is still read is kept."
        for name in kept
        if not (directory / name).exists()
    ]


def write(directory: Path, catalogue: Catalogue = CATALOGUE) -> list[str]:
    """Write every document; returns the names of those that changed."""
    directory.mkdir(parents=True, exist_ok=True)
    changed = []
    for name, text in _texts(catalogue).items():
        path = directory / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            changed.append(name)
    return changed


def _texts(catalogue: Catalogue) -> dict[str, str]:
    """Every file by its name."""
    files = {name: render(document) for name, document in documents(catalogue).items()}
    return files | {FILE_NAME: typescript(catalogue)}


def render(document: dict[str, Any]) -> str:
    """One spelling per document, so that a difference is a difference."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all is well, 1 with a line per problem on stderr."""
    parser = argparse.ArgumentParser(prog="python -m billfleet_contracts.schemas")
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="where the schemas are")
    options = parser.parse_args(arguments)
    problems = find_breaks(options.directory)
    if options.check:
        problems += find_drift(options.directory)
    if problems:
        sys.stderr.write("\n".join(problems) + "\n")
        return 1
    for name in [] if options.check else write(options.directory):
        sys.stdout.write(f"wrote {name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
