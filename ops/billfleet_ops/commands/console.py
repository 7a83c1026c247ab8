"""`billfleet console`: the web console over a fleet that runs anywhere.

What it shows and does is `billfleet_ops.console`; this module takes options, says the address, and
serves until Ctrl-C.
"""

import asyncio
from typing import Annotated

import typer

from billfleet_ops.configuration import home_directory, load_settings
from billfleet_ops.errors import UsageWrong
from billfleet_ops.output import Output
from billfleet_ops.teaching import lesson

SHORT = "Look at the fleet in a browser; with --actions, mend and replay."
EPILOG = lesson(
    ("billfleet console", "read-only, on http://127.0.0.1:8808"),
    ("billfleet console --actions", "prints an address with a token; whoever has it may act"),
    (
        "billfleet console --host 0.0.0.0 --answer-for console.internal",
        "behind a proxy that says who may come",
    ),
)
LOOPBACK_HOSTS = {"127.0.0.1", "localhost", "::1"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("console", short_help=SHORT, epilog=EPILOG)(console)


def console(
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any.")] = 8808,
    actions: Annotated[
        bool, typer.Option("--actions", help="Let whoever has the printed token act.")
    ] = False,
    answer_for: Annotated[
        list[str] | None,
        typer.Option("--answer-for", metavar="HOST", help="Also this host name. Repeatable."),
    ] = None,
) -> None:
    """Serve the console until Ctrl-C.

    It shows customers' data to everybody who reaches it, so it listens on this machine only,
    unless --host says otherwise; then put a proxy with a login before it. Queues are read in the
    background and never received from, until somebody looks into a dead-letter queue.
    """
    # Imported here, because no other command should wait for a web server to load.
    from billfleet_ops.console.security import new_token
    from billfleet_ops.console.serving import bind, serve

    output = Output()
    settings = load_settings()
    if host not in LOOPBACK_HOSTS and not answer_for:
        raise UsageWrong(
            f"Listening on {host} needs to know by which name it is reached",
            where="--answer-for",
            remedy="Give the host name that browsers will use; any other is refused.",
        )
    token = new_token() if actions else None
    with bind(host, port) as listening:
        taken = listening.getsockname()[1]
        shown = answer_for[0] if answer_for and host not in LOOPBACK_HOSTS else "127.0.0.1"
        address = f"http://{shown}:{taken}"
        output.note(f"The console of {settings.stack}: {address}/ (Ctrl-C stops it)")
        if token:
            output.note(f"To act, open {address}/enter?token={token}")
        asyncio.run(
            serve(settings, home_directory(), listening, token=token, hosts=answer_for or [])
        )
