"""A front door that listens, for tests that speak HTTP to it: a thread with a loop of its own.

The parts are those of `gateway_world`; only the database login and the clock are the real ones.
"""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import uvicorn

from billfleet_db import Database
from billfleet_gateway import Door, Options, create_app
from billfleet_gateway.serving import ImpatientProtocol
from billfleet_workers.runtime.clock import SystemClock
from gateway_world import Files, Records

OPTIONS = Options(
    link_secrets=("s3cret" * 6,),
    requests_per_s=100_000,
    burst=100_000,
    strangers_per_s=100_000,
    stream_s=0.0,
)


class Impatient(ImpatientProtocol):
    head_timeout_s = 0.5


class _Listening(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_listening.set()


@contextmanager
def listening(database_url: str, options: Options = OPTIONS, **database: float) -> Iterator[str]:
    """The address of a door before this database."""
    clock = SystemClock()
    opened = Database.connect(database_url, pool_size=4, **database)  # type: ignore[arg-type] # timeouts only
    door = Door(opened, clock.now, clock.monotonic, clock.sleep, replace(options))
    door.records, door.files = Records(), Files()
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        create_app(door),
        log_config=None,
        access_log=False,
        http=Impatient,
        lifespan="on",
        ws="none",
    )
    server = _Listening(config)

    async def serve() -> None:
        await server.serve(sockets=[taken])
        await opened.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert server.is_listening.wait(20)
    try:
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        taken.close()
