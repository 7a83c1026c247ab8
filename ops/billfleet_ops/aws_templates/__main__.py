"""`python -m billfleet_ops.aws_templates [--check] [--directory DIR]`: keep what is generated.

Run by `make templates` and, with `--check`, by CI. It writes what the generators make of the
catalogue and fails on a difference when it only checks.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from billfleet_ops.aws_templates.generated import find_drift, write
from billfleet_ops.templates import template_folder


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all is well, 1 with a line per problem on stderr."""
    parser = argparse.ArgumentParser(prog="python -m billfleet_ops.aws_templates")
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    parser.add_argument("--directory", type=Path, default=template_folder(), help="where they are")
    options = parser.parse_args(arguments)
    if options.check:
        problems = find_drift(options.directory)
        sys.stderr.write("".join(f"{problem}\n" for problem in problems))
        return 1 if problems else 0
    for name in write(options.directory):
        sys.stdout.write(f"wrote {name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
