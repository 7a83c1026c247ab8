"""A simulated dedupe table behind the dedupe port: the protocol's promises, in a small model.

Conditional writes, leases and tokens, written from the port's words and not from the adapter, so
that the two can be held against each other. It reads time from the caller's clock, as the adapter
does, and deletes expired records late.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.dedupe import (
    AlreadyDone,
    ClaimAnswer,
    Claimed,
    ClaimRequest,
    Completion,
    Held,
    InProgress,
    PayloadMismatch,
    Record,
)
from simulation.network import Network
from simulation.seeded_loop import Process
from simulation.sim_queue import START

if TYPE_CHECKING:
    from simulation.judge import Judge

A = TypeVar("A")
R = TypeVar("R")
CLAIM_KEPT_S = 86_400.0


@dataclass(slots=True)
class Row:
    """One item. Times are seconds since the world began, by the clock of who wrote them."""

    payload_hash: str
    token: str
    lease_until_s: float
    expires_s: float
    is_done: bool = False
    completed_s: float = 0.0
    note: str = ""
    attempts: int = 1
    is_free: bool = False


@dataclass(slots=True)
class DedupeTable:
    """The rows. Each method is one conditional write, atomic by itself."""

    judge: "Judge"
    ttl_late_s: float
    rows: dict[str, Row] = field(default_factory=dict)

    def seen(self, key: str) -> Row | None:
        """The row of a key, unless TTL has got round to deleting it."""
        row = self.rows.get(key)
        if row is not None and row.expires_s + self.ttl_late_s <= self.judge.time_s():
            del self.rows[key]
            return None
        return row

    def claim(self, request: ClaimRequest, now_s: float) -> ClaimAnswer:
        row = self.seen(request.key)
        answer = None if row is None else self.answer(row, request, now_s)
        if answer is None:
            lease_until_s = now_s + request.lease_s
            mine = Row(
                request.payload_hash, request.token, lease_until_s, lease_until_s + CLAIM_KEPT_S
            )
            is_same = row is not None and row.payload_hash == request.payload_hash
            if row is not None and is_same and not row.is_done and row.expires_s > now_s:
                mine.attempts = row.attempts + 1
            self.rows[request.key] = mine
            answer = Claimed(taken_over=row is not None, attempts=mine.attempts)
        return answer

    def answer(self, row: Row, request: ClaimRequest, now_s: float) -> ClaimAnswer | None:
        """What a row says to a claim. None: it may be taken over."""
        if row.expires_s <= now_s or row.is_free:
            return None
        if row.payload_hash != request.payload_hash:
            return PayloadMismatch(row.payload_hash)
        if row.is_done:
            return AlreadyDone(START + timedelta(seconds=row.completed_s), row.note)
        if row.lease_until_s <= now_s:
            return None
        if row.token == request.token:
            return Claimed(attempts=row.attempts)
        return InProgress(START + timedelta(seconds=row.lease_until_s))

    def complete(self, one: Completion, now_s: float) -> bool:
        row = self.seen(one.key)
        if row is None or row.token != one.token:
            return False
        row.is_done, row.completed_s, row.note = True, now_s, one.note
        row.expires_s = now_s + one.retain_s
        return True

    def release(self, held: Held) -> bool:
        if not self.is_held(held):
            return False
        if held.failed_attempts:
            self.rows[held.key].attempts = held.failed_attempts
            self.rows[held.key].is_free = True
            self.rows[held.key].token = ""
        else:
            del self.rows[held.key]
        return True

    def extend(self, held: Held, lease_until_s: float) -> bool:
        if not self.is_held(held):
            return False
        row = self.rows[held.key]
        row.lease_until_s, row.expires_s = lease_until_s, lease_until_s + CLAIM_KEPT_S
        return True

    def is_held(self, held: Held) -> bool:
        row = self.seen(held.key)
        return row is not None and row.token == held.token and not (row.is_done or row.is_free)


class DedupeClient:
    """The dedupe port of one process, over the table."""

    def __init__(
        self, table: DedupeTable, process: Process, network: Network, clock: Clock
    ) -> None:
        self._table = table
        self._process = process
        self._network = network
        self._clock = clock
        self._judge = table.judge

    async def claim(self, requests: Sequence[ClaimRequest]) -> Sequence[ClaimAnswer]:
        now_s, asked_s = self._now_s(), self._judge.time_s()

        def one(request: ClaimRequest) -> ClaimAnswer:
            answer = self._table.claim(request, now_s)
            self._judge.claimed(self._process, request, answer, now_s)
            self._judge.answered(self._process, request, answer, asked_s)
            return answer

        return await self._each("claim", requests, one)

    async def complete(self, completions: Sequence[Completion]) -> Sequence[bool]:
        now_s = self._now_s()

        def one(completion: Completion) -> bool:
            is_recorded = self._table.complete(completion, now_s)
            until_s = now_s + completion.retain_s
            self._judge.completed(self._process, completion, is_recorded, until_s)
            return is_recorded

        return await self._each("complete", completions, one)

    async def release(self, held: Sequence[Held]) -> Sequence[bool]:
        def one(claim: Held) -> bool:
            is_released = self._table.release(claim)
            self._judge.released(self._process, claim, is_released)
            return is_released

        return await self._each("release", held, one)

    async def extend(self, held: Sequence[Held], lease_s: float) -> Sequence[bool]:
        until_s = self._now_s() + lease_s

        def one(claim: Held) -> bool:
            is_extended = self._table.extend(claim, until_s)
            self._judge.extended(self._process, claim, is_extended, until_s)
            return is_extended

        return await self._each("extend", held, one)

    async def read(self, keys: Sequence[str]) -> Sequence[Record | None]:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing to let go of."""

    def _now_s(self) -> float:
        return (self._clock.now() - START).total_seconds()

    async def _each(self, verb: str, entries: Sequence[A], act: Callable[[A], R]) -> Sequence[R]:
        self._judge.calling(self._process, verb)
        keys = [entry.key for entry in entries]  # type: ignore[attr-defined]
        assert len(set(keys)) == len(keys), f"the same key stands twice in one {verb}"

        def effect() -> list[R]:
            if self._network.fault("dedupe", verb, "partial"):
                for entry in entries[: len(entries) // 2]:
                    act(entry)
                raise Unavailable("dedupe", "throttled in the middle")
            return [act(entry) for entry in entries]

        return await self._network.call("dedupe", verb, effect)
