"""`python -m billfleet_gateway.openapi_file [--check]`: keep the committed OpenAPI document.

Run by `make schemas` and, with `--check`, by CI, so that a change of the interface shows in review.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

from billfleet_gateway.app import create_app
from billfleet_gateway.document import describe
from billfleet_gateway.door import Door, Options

PATH: Final = Path(__file__).parent / "openapi.json"


def render() -> str:
    """The document as the repository holds it."""
    # Describing asks for no part of the door but its options.
    absent = cast("Any", None)
    door = Door(absent, absent, absent, absent, Options())
    return json.dumps(describe(create_app(door)), indent=2, sort_keys=True) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when the file is as the routes say; it is written unless `--check` is given."""
    parser = argparse.ArgumentParser(prog="python -m billfleet_gateway.openapi_file")
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    options = parser.parse_args(arguments)
    text = render()
    if PATH.exists() and PATH.read_text("utf-8") == text:
        return 0
    if options.check:
        sys.stderr.write("openapi.json is out of date: run `make schemas` and commit it.\n")
        return 1
    PATH.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
