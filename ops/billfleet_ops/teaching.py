"""What stands below the options in every command's `--help`: examples and exit codes.

Commands call `lesson` for their epilog, so that all of them teach in the same form. It knows
no command.
"""

from billfleet_ops.exits import MEANINGS


def lesson(*examples: tuple[str, str]) -> str:
    """The epilog of a command: (command line, what it does) pairs, then the exit codes."""
    # The help formatter joins lines that are not separated by an empty one.
    shown = [f"  $ {command}\n\n      {meaning}" for command, meaning in examples]
    return "\n\n".join(["Examples:", *shown, MEANINGS])
