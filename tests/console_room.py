"""A console over a fleet in memory and a real database, for tests of its pages and actions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from billfleet_db import Database
from billfleet_ops.console.acting import Acting
from billfleet_ops.console.app import build
from billfleet_ops.console.looks import Looks
from billfleet_ops.console.parts import Console
from billfleet_ops.console.rendering import environment
from billfleet_ops.console.security import Sessions
from billfleet_ops.console.watching import Watch, fleet_queues
from billfleet_ops.replay.session import Session
from billfleet_workers.adapters.memory_dead_letters import MemoryDeadLetters
from billfleet_workers.adapters.memory_dedupe import MemoryDedupeStore
from billfleet_workers.runtime.clock import ManualClock
from billfleet_workers.runtime.ports.dead_letters import Copy
from replay_room import START

TOKEN = "the-token"
ORIGIN = "http://localhost"
STACK = "test"
DLQ = f"{STACK}-rebill-dlq"


class ConsoleRoom:
    """The catalogue's queues in memory, and everything that a console is made of."""

    def __init__(self, database: Database, home: Path, *, token: str | None = TOKEN) -> None:
        self.clock = ManualClock(START)
        self.mails: dict[str, bytes] = {}
        self.letters = MemoryDeadLetters(self.clock)
        self.dedupe = MemoryDedupeStore(self.clock)
        for queue in fleet_queues(STACK):
            self.letters.create(queue.dlq_physical_name)
            self.letters.create(queue.physical_name, redrives_to=queue.dlq_physical_name)
        self.session = Session(self.letters, self.dedupe, self.clock, STACK, home)
        self.watch = Watch(
            self.letters, database, self.clock, stack=STACK, queues=fleet_queues(STACK)
        )
        self.looks = Looks(self.letters, self.clock)
        self.acting = Acting(self.session, database, self.looks)
        self.console = Console(
            watch=self.watch,
            looks=self.looks,
            acting=self.acting,
            sessions=Sessions(token),
            database=database,
            replay=self.session,
            templates=environment(),
            catch_up_periods_max=12,
            read_mail=self._read_mail,
        )
        self.app = build(self.console, hosts=["localhost"])

    async def _read_mail(self, object_key: str) -> bytes | None:
        return self.mails.get(object_key)

    def bury(self, copy: Copy, queue: str = DLQ) -> str:
        """Put a dead letter in and return its id."""
        return self.letters.put(f"memory://{queue}", copy)

    async def look(self, queue: str = DLQ) -> None:
        """See the queues, and look into one."""
        await self.watch.look()
        facts = await self.letters.describe(queue)
        assert facts is not None
        self.looks.forget(queue)
        self.looks.begin(facts)
        await self.looks.ended(queue)

    @asynccontextmanager
    async def browser(self) -> AsyncIterator[httpx.AsyncClient]:
        """Somebody's browser, which sends our own origin as browsers do."""
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(
            transport=transport, base_url=ORIGIN, headers={"Origin": ORIGIN}
        ) as browser:
            yield browser

    async def sign_in(self, browser: httpx.AsyncClient) -> str:
        """Show the token; returns the secret that forms carry."""
        answer = await browser.post("/enter", data={"token": TOKEN, "operator": "Ada"})
        assert answer.status_code == 303
        [session] = self.console.sessions._known.values()
        return session.form_secret
