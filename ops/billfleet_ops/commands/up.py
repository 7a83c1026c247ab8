"""`billfleet up`: the embedded stack, the whole fleet in one process, and the front door.

It starts what the environment leaves open, runs every worker until Ctrl-C, and stops it all in
the opposite order. Servers are `local.stack`'s, watched by `local.guard`; workers are
`billfleet_workers.main`'s.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Annotated

import typer

from billfleet_ops.configuration import home_directory, load_settings
from billfleet_ops.errors import OpsError, Refused
from billfleet_ops.local.front_door import LocalFrontDoor
from billfleet_ops.local.guard import Guard, Watched
from billfleet_ops.local.home import Home
from billfleet_ops.local.stack import EmbeddedStack
from billfleet_ops.local.substitution import adopt
from billfleet_ops.output import Output
from billfleet_ops.runbooks import Runbook
from billfleet_ops.teaching import lesson
from billfleet_workers.settings import Settings

SHORT = "Run PostgreSQL, an AWS endpoint and the fleet until Ctrl-C."
EPILOG = lesson(
    ("billfleet up", "start, or start again with the data of last time"),
    ("billfleet up --fresh", "delete the embedded data first, after asking"),
    (
        "DATABASE_URL=postgresql://billfleet_app@db/billfleet billfleet up",
        "use that database; only the AWS endpoint is embedded",
    ),
    ("billfleet status", "in a second terminal, in the same directory: it finds this fleet"),
)
DEFAULT_STACK = "billfleet-local"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up", short_help=SHORT, epilog=EPILOG)(up)


def up(
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the embedded data first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before deleting.")] = False,
    postgres_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Default: the one of last time.")
    ] = None,
    aws_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Default: the one of last time.")
    ] = None,
    http_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Of the front door; as above.")
    ] = None,
    with_console: Annotated[
        bool, typer.Option("--console/--no-console", help="The console in a browser.")
    ] = True,
    console_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Default: the one of last time.")
    ] = None,
) -> None:
    """Run PostgreSQL, an AWS endpoint and the whole fleet on this machine, until Ctrl-C.

    The data lives in BILLFLEET_HOME (./.billfleet) and survives a restart. DATABASE_URL,
    AWS_ENDPOINT_URL, or AWS credentials together with BILLFLEET_STACK replace the embedded
    server by a real one, which is then neither migrated nor deployed to. An embedded server
    that ends by itself is started again.
    """
    # Imported here, because no other command should wait for the whole fleet to load.
    from billfleet_workers.main import WORKERS, run

    output = Output()
    home = home_directory()
    if fresh and not yes:
        _ask(str(home))
    stack = EmbeddedStack(
        home,
        environ=dict(os.environ),
        stack=os.environ.get("BILLFLEET_STACK") or DEFAULT_STACK,
        postgres_port=postgres_port,
        aws_port=aws_port,
        say=output.note,
    )
    with ExitStack() as ending:
        ending.enter_context(stack.running(fresh=fresh))
        adopt(stack.environment(), os.environ)
        doors = ending.enter_context(_front_door(stack, http_port, output))
        settings = load_settings()
        running = f"The fleet runs: {', '.join(WORKERS)}. Ctrl-C drains and stops it."
        guard = Guard([*stack.watched(), *doors], say=output.note, give_up=_stop_the_fleet)
        if with_console:
            ending.enter_context(_console(settings, stack.home, console_port, output))
        with guard.watching():
            report = run(settings, list(WORKERS), ready=lambda: output.note(running))
    if guard.reason is not None:
        raise guard.reason
    if not report.adds_up:
        raise OpsError(
            "The drain does not add up: not every received message is accounted for",
            where=f"stack {settings.stack}",
            remedy=f"They are delivered again at the next `billfleet up`. See {Runbook.DRAIN}.",
        )


def _console(
    settings: Settings, home: Home, port: int | None, output: Output
) -> AbstractContextManager[None]:
    """The console, with actions: this stack is its user's own."""
    # Imported here, because nobody should wait for a web server who asked for --no-console.
    from billfleet_ops.console.security import new_token
    from billfleet_ops.console.serving import beside, bind

    chosen = port or home.choose_port("console")
    listening = bind("127.0.0.1", chosen)
    home.remember_port("console", chosen)
    token, address = new_token(), f"http://127.0.0.1:{chosen}"
    output.note(f"The console: {address}/ ; to act, open {address}/enter?token={token}")
    return beside(settings, home.root, listening, token=token)


@contextmanager
def _front_door(stack: EmbeddedStack, port: int | None, output: Output) -> Iterator[list[Watched]]:
    """The HTTP front door beside the fleet, where it has a login of its own."""
    if not os.environ.get("GATEWAY_DATABASE_URL"):
        output.note("No front door: GATEWAY_DATABASE_URL names no login for it.")
        yield []
        return
    door = LocalFrontDoor(stack.home.root, port)
    os.environ.setdefault("BILLFLEET_PUBLIC_URL", door.url)
    stack.home.publish(stack.environment() | {"BILLFLEET_PUBLIC_URL": door.url})
    door.start(os.environ)
    output.note(f"The front door opens on {door.url}; it is described at {door.url}/openapi.json")
    try:
        yield [door]
    finally:
        door.stop()


def _stop_the_fleet() -> None:
    """What Ctrl-C does, from another thread: the fleet drains."""
    os.kill(os.getpid(), signal.SIGTERM)


def _ask(home: str) -> None:
    if not sys.stdin.isatty():
        raise Refused(
            "--fresh deletes all embedded data, and nobody is here to be asked",
            where=home,
            remedy="Give --yes as well if that is meant.",
        )
    if not typer.confirm(f"Delete the embedded database and queues in {home}?"):
        raise Refused(
            "Nothing was deleted", where=home, remedy="Leave out --fresh to keep the data."
        )
