"""Runs `python -m billfleet_ops` as the `billfleet` command, where no script is installed."""

from billfleet_ops.cli import main

if __name__ == "__main__":
    main()
