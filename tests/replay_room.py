"""A dead-letter queue with everything in memory, for tests of replay."""

from datetime import UTC, date, datetime
from pathlib import Path

from billfleet_contracts import AccountPeriod, RebillAccounts, encode, payload_hash, wrap
from billfleet_contracts import decode as decode_body
from billfleet_ops.replay.addressing import Address, AddressBook
from billfleet_ops.replay.filters import Filter
from billfleet_ops.replay.journal import Journal
from billfleet_ops.replay.pace import Pace
from billfleet_ops.replay.plan import Rules
from billfleet_ops.replay.run import Replayer, Request, Tools
from billfleet_workers.adapters.memory_dead_letters import MemoryDeadLetters
from billfleet_workers.adapters.memory_dedupe import MemoryDedupeStore
from billfleet_workers.runtime.clock import ManualClock
from billfleet_workers.runtime.ports.dead_letters import Attribute, Copy, QueueFacts
from billfleet_workers.runtime.ports.dedupe import ClaimRequest, Completion

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def body_of(account: str = "A-1", *, tenant: str = "acme", key: str | None = None) -> str:
    event = RebillAccounts(
        as_of=date(2026, 3, 1),
        accounts=(AccountPeriod(account_id=account, period_start=date(2026, 3, 1)),),
    )
    return encode(wrap(event, tenant=tenant, source="/tests", now=START, dedupe_key=key or account))


def buried(body: str, *, group_id: str | None = "acme", **more: str) -> Copy:
    """As a worker buries it."""
    said = {
        "reason": "no such account",
        "error_class": "Permanent",
        "fingerprint": "f00df00df00d",
        "contract": RebillAccounts.TYPE,
        "attempt": "1",
        "origin": "rebill",
        "original_message_id": "first-id",
        "buried_at": START.isoformat(),
        "first_sent_at": "2026-02-27T12:00:00+00:00",
    } | more
    return Copy(body, {name: Attribute("String", text) for name, text in said.items()}, group_id)


class ReplayRoom:
    """`rebill` and its dead-letter queue, a dedupe store and a journal."""

    def __init__(self, home: Path, *, fifo: bool = False, fleet: bool = True) -> None:
        suffix = ".fifo" if fifo else ""
        self.home = home
        self.clock = ManualClock(START)
        self.letters = MemoryDeadLetters(self.clock)
        self.dedupe = MemoryDedupeStore(self.clock)
        self.dlq = self.letters.create(f"test-rebill-dlq{suffix}")
        self.queue = self.letters.create(
            f"test-rebill{suffix}", redrives_to=f"test-rebill-dlq{suffix}"
        )
        self.name = "rebill" if fleet else None
        self.address = Address(self.queue, f"test-rebill{suffix}", fifo, self.name)
        origins = {self.name: self.address} if self.name else {}
        self.book = AddressBook(None, origins, [self.address])
        self.replayers: list[Replayer] = []

    def journal(self) -> Journal:
        return Journal.open(self.home, "test-rebill-dlq", self.dlq)

    async def facts(self) -> QueueFacts:
        facts = await self.letters.describe(self.dlq)
        assert facts is not None
        return facts

    async def request(
        self,
        *,
        acts: bool = True,
        meant: Filter | None = None,
        rules: Rules | None = None,
        run: str = "run-1",
        concurrency: int = 1,
        book: AddressBook | None = None,
    ) -> Request:
        return Request(
            run=run,
            queue=await self.facts(),
            book=book or self.book,
            filter=meant or Filter(),
            rules=rules or Rules(),
            acts=acts,
            concurrency=concurrency,
        )

    def tools(self, journal: Journal | None = None) -> Tools:
        return Tools(self.letters, self.dedupe, journal or self.journal(), self.clock)

    def replayer(self, request: Request, tools: Tools | None = None) -> Replayer:
        return Replayer(tools or self.tools(), request, pace=Pace(None, self.clock))

    def key(self, dedupe_key: str = "A-1", tenant: str = "acme") -> str:
        return f"{tenant}#rebill#{dedupe_key}"

    async def claim(self, body: str, *, lease_s: float = 60) -> str:
        envelope = decode_body(body)
        key = self.key(envelope.dedupekey, envelope.tenant)
        await self.dedupe.claim([ClaimRequest(key, payload_hash(envelope), "token", lease_s)])
        return key

    async def finish(self, body: str) -> str:
        key = await self.claim(body)
        assert await self.dedupe.complete([Completion(key, "token", 86400, "billed=1")]) == [True]
        return key
