"""Serving the console: its parts opened from the settings, and a web server over them.

`billfleet console` serves until it is told to stop; `billfleet up` serves from a thread of its own,
beside the fleet.
"""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from billfleet_db import Database
from billfleet_ops.clients import Clients
from billfleet_ops.configuration import clients_of
from billfleet_ops.console.acting import Acting
from billfleet_ops.console.app import build
from billfleet_ops.console.looks import Looks
from billfleet_ops.console.parts import Console
from billfleet_ops.console.rendering import environment
from billfleet_ops.console.security import Sessions
from billfleet_ops.console.watching import Ages, Watch, fleet_queues
from billfleet_ops.errors import PortOccupied
from billfleet_ops.queues import oldest_ages
from billfleet_ops.replay.session import Session
from billfleet_workers.main.replaying import open_replay
from billfleet_workers.settings import Settings

DEFAULT_PORT = 8808
POOL_SIZE = 4
STATEMENT_TIMEOUT_S = 10.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")
STOPPING_S = 2


@asynccontextmanager
async def open_console(
    settings: Settings, home: Path, *, token: str | None
) -> AsyncIterator[Console]:
    """The parts, with a watch that runs; closed at the end."""
    async with open_replay(settings) as ports, open_database(settings) as database:
        session = Session(ports.letters, ports.dedupe, ports.clock, settings.stack, home)
        watch = Watch(
            ports.letters,
            database,
            ports.clock,
            stack=settings.stack,
            queues=fleet_queues(settings.stack),
            ages=ages_from(clients_of(settings)),
        )
        looks = Looks(ports.letters, ports.clock)
        console = Console(
            watch=watch,
            looks=looks,
            acting=Acting(session, database, looks),
            sessions=Sessions(token),
            database=database,
            replay=session,
            templates=environment(),
            catch_up_periods_max=settings.catch_up_periods_max,
            read_mail=mails_from(settings),
        )
        watching = asyncio.create_task(watch.run())
        try:
            yield console
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """A small pool; a question of a page that takes too long is given up."""
    database = Database.connect(
        settings.database_url.get_secret_value(),
        pool_size=POOL_SIZE,
        application_name="billfleet-console",
        statement_timeout_s=STATEMENT_TIMEOUT_S,
    )
    try:
        yield database
    finally:
        await database.close()


def ages_from(clients: Clients) -> Ages:
    """Ages as CloudWatch knows them, asked for on a thread of its own."""

    async def ages(names: Sequence[str]) -> Mapping[str, float]:
        return await asyncio.to_thread(oldest_ages, clients, names, datetime.now(UTC))

    return ages


def mails_from(settings: Settings) -> Callable[[str], Awaitable[bytes | None]]:
    """Copies of mails from the object store, which is opened when somebody looks at one."""

    async def read(object_key: str) -> bytes | None:
        from billfleet_workers.main.mails import read_mail_copy

        return await read_mail_copy(settings, object_key)

    return read


def bind(host: str, port: int) -> socket.socket:
    """Take the port now, so that one which is taken is said in plain words."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise PortOccupied(
            f"The console can't listen on {host}:{port}: {error.strerror}",
            where="--port",
            remedy="Stop what listens there, or give another --port; 0 takes any.",
        ) from error
    return listening


async def serve(
    settings: Settings,
    home: Path,
    listening: socket.socket,
    *,
    token: str | None,
    hosts: Sequence[str] = (),
    started: Callable[[uvicorn.Server], None] = lambda _: None,
) -> None:
    """Serve until the server is told to stop."""
    async with open_console(settings, home, token=token) as console:
        app = build(console, hosts=[*LOOPBACK, *hosts])
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                server_header=False,
                lifespan="on",
                timeout_graceful_shutdown=STOPPING_S,
            )
        )
        started(server)
        await server.serve(sockets=[listening])


@contextmanager
def beside(
    settings: Settings, home: Path, listening: socket.socket, *, token: str | None
) -> Iterator[None]:
    """Serve from a thread while the block runs."""
    servers: list[uvicorn.Server] = []
    is_started = threading.Event()

    def note(server: uvicorn.Server) -> None:
        servers.append(server)
        is_started.set()

    def run() -> None:
        try:
            asyncio.run(serve(settings, home, listening, token=token, started=note))
        finally:
            is_started.set()

    thread = threading.Thread(target=run, name="console", daemon=True)
    thread.start()
    is_started.wait()
    try:
        yield
    finally:
        for server in servers:
            server.should_exit = True
        thread.join(STOPPING_S * 3)
        listening.close()
