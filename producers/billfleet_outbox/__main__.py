"""The door of the `billfleet-outbox` command, also as `python -m billfleet_outbox`.

It loads the command only if SQLAlchemy is there, and says what to install if it is not.
"""

import sys


def main() -> int:
    """Run the command; returns its exit code."""
    try:
        from billfleet_outbox.command import main as run
    except ModuleNotFoundError as error:
        if error.name != "sqlalchemy":
            raise
        sys.stderr.write(
            "billfleet-outbox: it needs SQLAlchemy: pip install 'billfleet-producers[outbox]'\n"
        )
        return 2
    return run()


if __name__ == "__main__":
    sys.exit(main())
