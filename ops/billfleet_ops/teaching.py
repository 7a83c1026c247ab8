"""What stands below the options in every command's `--help`: examples and exit codes.

Commands call `lesson` for their epilog, so that all of them teach in the same form. It knows
no command.
"""

from textwrap import indent

from billfleet_ops.exits import MEANINGS

AS_IT_IS = "\b"
"""What tells the help formatter not to join the lines of a paragraph."""
COMMAND_WIDTH = 96
CONTINUES = "\\"


def lesson(*examples: tuple[str, str], about: str = "", file: str = "") -> str:
    """The epilog of a command: (command line, what it does) pairs, then the exit codes.

    Before them what there is to say `about` its file, and the lines of a whole one.
    """
    shown = [
        f"{AS_IT_IS}\n  $ {_folded(command)}\n      {meaning}" for command, meaning in examples
    ]
    as_it_is = f"{AS_IT_IS}\n{indent(file, '  ')}" if file else ""
    parts = (about, as_it_is, "Examples:", *shown, MEANINGS)
    return "\n\n".join(part for part in parts if part)


def _folded(command: str) -> str:
    """A long command over several lines, which a shell still takes as one."""
    if len(command) <= COMMAND_WIDTH:
        return command
    first, *options = command.split(" --")
    return f" {CONTINUES}\n      ".join([first, *(f"--{option}" for option in options)])
