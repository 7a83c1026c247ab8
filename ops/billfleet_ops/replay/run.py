"""Replaying a dead-letter queue: plan each message, send those that will run, take them out.

The commands build a `Replayer` and start it. A message leaves the dead-letter queue only after it
stands in its queue, and the journal holds each step, so that an interruption at any point loses
nothing and repeats nothing. Without `acts` it only plans. What a verdict means is in `plan`.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from billfleet_ops.replay.addressing import AddressBook
from billfleet_ops.replay.filters import Filter
from billfleet_ops.replay.journal import Journal
from billfleet_ops.replay.pace import Pace
from billfleet_ops.replay.plan import (
    SENDS,
    Known,
    Planned,
    Rules,
    Verdict,
    copy_of,
    in_order,
    judge,
)
from billfleet_ops.replay.reading import Reading, read
from billfleet_ops.replay.scan import BATCH, Scan, hidden_s_for
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.ports.dead_letters import DeadLetters, DeadMessage, QueueFacts
from billfleet_workers.runtime.ports.dedupe import AmendableStore, Record
from billfleet_workers.runtime.ports.queue import EntryFailure

ROWS_MAX = 1000
RETURNED_MAX = 10
CLOCKS_DIFFER = timedelta(seconds=5)
UNCERTAIN_CODES = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "NoAnswer",
        "RequestTimeout",
        "ServiceUnavailable",
        "Unavailable",
    }
)
"""After these, nobody knows whether the message stands in its queue."""


@dataclass(frozen=True)
class Tools:
    """What a replay works with; `dedupe` is None where it is not to be asked."""

    letters: DeadLetters
    dedupe: AmendableStore | None
    journal: Journal
    clock: Clock


@dataclass(frozen=True)
class Request:
    """What is asked for."""

    run: str
    queue: QueueFacts
    book: AddressBook
    filter: Filter = field(default_factory=Filter)
    only_id: str | None = None
    rules: Rules = field(default_factory=Rules)
    acts: bool = False
    concurrency: int = 4
    returned_max: int = RETURNED_MAX


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that this run brought home, by its original id."""

    original_id: str
    key: str | None
    at: datetime


@dataclass
class Report:
    """What became of the messages. `rows` are the first ones; the counts are of all."""

    run: str
    is_dry: bool
    looked_at: int = 0
    not_meant: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    sent: int = 0
    taken_out: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)
    rows: list[Planned] = field(default_factory=list)
    stopped: str | None = None

    @property
    def stayed(self) -> int:
        """Messages that were meant and are still there."""
        return sum(self.verdicts.values()) - self.taken_out


class Replayer:
    """One run over one queue."""

    def __init__(
        self,
        tools: Tools,
        request: Request,
        *,
        pace: Pace,
        progress: Callable[[Report], None] = lambda _: None,
    ) -> None:
        self.report = Report(request.run, is_dry=not request.acts)
        self.sent: dict[str, Sent] = {}
        self.sent_ids: set[str] = set()
        self._tools = tools
        self._request = request
        self._pace = pace
        self._progress = progress
        self._stopping = asyncio.Event()
        self._held_groups: set[str] = set()
        self._left: int | None = None

    def stop(self, why: str) -> None:
        """Finish what is in hand, hand back the rest."""
        self.report.stopped = self.report.stopped or why
        self._stopping.set()

    async def run(self, limit: int | None = None) -> Report:
        """One pass; at most `limit` messages are sent."""
        queue, self._left = self._request.queue, limit
        self._start_anew()
        async with Scan(
            self._tools.letters,
            queue.url,
            clock=self._tools.clock,
            hidden_s=hidden_s_for(queue.waiting),
            expected=queue.waiting,
        ) as scan:
            # A FIFO queue has one order, so one pass at a time.
            count = 1 if queue.is_fifo else self._request.concurrency
            async with asyncio.TaskGroup() as passes:
                for _ in range(count):
                    passes.create_task(self._pass(scan))
        return self.report

    def _start_anew(self) -> None:
        """What stayed in an earlier pass is looked at again in this one, so it is not counted."""
        report, leaving = self.report, {*SENDS, Verdict.ALREADY_SENT}
        report.verdicts = Counter({v: n for v, n in report.verdicts.items() if v in leaving})
        report.rows = [row for row in report.rows if row.verdict in leaving]
        report.looked_at, report.not_meant = report.verdicts.total(), 0
        self._held_groups.clear()

    async def _pass(self, scan: Scan) -> None:
        while not self._stopping.is_set() and self._left != 0:
            batch = await scan.next_batch(BATCH if self._left is None else min(BATCH, self._left))
            if not batch:
                return
            kept: Sequence[DeadMessage] = batch
            try:
                async with scan.kept_hidden(batch):
                    kept = await self._handle(batch)
            finally:
                scan.keep(kept)
            self._progress(self.report)

    async def _handle(self, batch: Sequence[DeadMessage]) -> list[DeadMessage]:
        """Deal with a batch; returns what stays in the queue."""
        plans = await self._plan(batch)
        if not self._request.acts:
            return list(batch)
        gone = [plan for plan in plans if plan.verdict is Verdict.ALREADY_SENT]
        for wave in self._waves([plan for plan in plans if plan.sends]):
            gone += await self._send(wave)
        deleted = await self._take_out(gone)
        return [message for message in batch if message.message_id not in deleted]

    async def _plan(self, batch: Sequence[DeadMessage]) -> list[Planned]:
        """Verdicts on those that are meant."""
        now, request = self._tools.clock.now(), self._request
        self._tools.journal.refresh()
        readings = [read(message) for message in batch]
        meant = [one for one in readings if self._is_meant(one)]
        others = [one for one in readings if not self._is_meant(one)]
        records = await self._records(meant)
        plans = [
            judge(one, self._known(one, records.get(one.id)), request.rules, now) for one in meant
        ]
        if request.queue.is_fifo:
            self._held_groups.update(one.message.group_id or "" for one in others)
        plans = self._within_limit(
            in_order(plans, self._held_groups, is_fifo=request.queue.is_fifo)
        )
        self._count(len(batch), others, plans)
        return plans

    def _is_meant(self, reading: Reading) -> bool:
        request = self._request
        if request.only_id is not None and not reading.is_called(request.only_id):
            return False
        return request.filter.matches(reading, self._tools.clock.now())

    def _known(self, reading: Reading, record: Record | None) -> Known:
        return Known(
            address=self._request.book.find(reading),
            record=record,
            journal_step=self._tools.journal.step_of(reading.id),
            came_back=reading.id not in self.sent_ids and self._came_back(reading),
        )

    def _came_back(self, reading: Reading) -> bool:
        """A copy that was buried before we sent its twin is no return."""
        twin = self.sent.get(reading.original_id)
        return twin is not None and reading.message.sent_at >= twin.at - CLOCKS_DIFFER

    async def _records(self, readings: Iterable[Reading]) -> dict[str, Record]:
        """What the dedupe store knows, by message id."""
        keys: dict[str, str] = {}
        for reading in readings:
            address = self._request.book.find(reading)
            key = address.key_of(reading.envelope) if address and reading.envelope else None
            if key is not None:
                keys[reading.id] = key
        if not keys or self._tools.dedupe is None:
            return {}
        distinct = sorted(set(keys.values()))
        found = await self._tools.dedupe.read(distinct)
        by_key = dict(zip(distinct, found, strict=True))
        records = {message_id: by_key[key] for message_id, key in keys.items()}
        return {message_id: one for message_id, one in records.items() if one is not None}

    def _within_limit(self, plans: list[Planned]) -> list[Planned]:
        if self._left is None:
            return plans
        chosen: list[Planned] = []
        for plan in plans:
            if plan.sends:
                if self._left == 0:
                    break
                self._left -= 1
            chosen.append(plan)
        return chosen

    def _count(self, size: int, others: Sequence[Reading], plans: Sequence[Planned]) -> None:
        report = self.report
        report.looked_at += size
        report.not_meant += len(others)
        report.verdicts.update(plan.verdict for plan in plans)
        report.rows += plans[: ROWS_MAX - len(report.rows)]
        if report.verdicts[Verdict.RETURNED] >= self._request.returned_max:
            self.stop(f"{report.verdicts[Verdict.RETURNED]} messages came back")

    def _waves(self, plans: Sequence[Planned]) -> list[list[Planned]]:
        """What may be sent together: to one queue; on FIFO, one message of each group."""
        waves: dict[tuple[str, int], list[Planned]] = {}
        place: Counter[str] = Counter()
        for plan in plans:
            turn = 0
            if plan.address is not None and plan.address.is_fifo:
                group = plan.reading.message.group_id or ""
                turn = place[group]
                place[group] += 1
            waves.setdefault((plan.address.url if plan.address else "", turn), []).append(plan)
        return [waves[key] for key in sorted(waves, key=lambda key: key[1])]

    async def _send(self, wave: Sequence[Planned]) -> list[Planned]:
        """Send a wave; returns what stands in its queue now."""
        tools, run = self._tools, self._request.run
        held = self._held_groups if self._request.queue.is_fifo else set()
        ready = [plan for plan in wave if (plan.reading.message.group_id or "") not in held]
        ready = [plan for plan in ready if await self._may_run(plan)]
        if not ready or ready[0].address is None:
            return []
        await self._pace.take(len(ready))
        ids = [plan.reading.id for plan in ready]
        tools.journal.write("sending", ids, run=run, now=tools.clock.now(), details=_details(ready))
        self.sent_ids.update(ids)
        for plan in ready:
            original_id = plan.reading.original_id
            self.sent[original_id] = Sent(original_id, plan.key, tools.clock.now())
        copies = [copy_of(plan, run) for plan in ready]
        answers = await tools.letters.send(ready[0].address.url, copies)
        arrived = [plan for plan, failure in zip(ready, answers, strict=True) if failure is None]
        tools.journal.write(
            "sent", [plan.reading.id for plan in arrived], run=run, now=tools.clock.now()
        )
        self.report.sent += len(arrived)
        self._note_failures(ready, answers)
        return arrived

    async def _may_run(self, plan: Planned) -> bool:
        """A forced message runs only if its record was deleted as it was looked at."""
        if not plan.is_forced:
            return True
        record, dedupe = plan.record, self._tools.dedupe
        if record is None or record.completed_at is None or dedupe is None or plan.key is None:
            return False
        if await dedupe.forget(plan.key, record.completed_at):
            return True
        self._fail(plan, "its record changed while we looked; plan again")
        return False

    def _note_failures(
        self, plans: Sequence[Planned], answers: Sequence[EntryFailure | None]
    ) -> None:
        refused = [
            (plan, failure)
            for plan, failure in zip(plans, answers, strict=True)
            if failure is not None
        ]
        # A refusal is an answer: these are known not to stand in the queue.
        certain = [plan.reading.id for plan, one in refused if one.code not in UNCERTAIN_CODES]
        self._tools.journal.write(
            "not-sent", certain, run=self._request.run, now=self._tools.clock.now()
        )
        for plan, failure in refused:
            self._fail(plan, f"{failure.code}: {failure.reason}")

    def _fail(self, plan: Planned, why: str) -> None:
        report = self.report
        report.failed += 1
        if len(report.failures) < ROWS_MAX:
            report.failures.append(f"{plan.reading.id}: {why}")
        self._held_groups.add(plan.reading.message.group_id or "")

    async def _take_out(self, plans: Sequence[Planned]) -> set[str]:
        """Delete what stands in its queue; what can't be deleted now, a later run deletes."""
        if not plans:
            return set()
        handles = [plan.reading.message.receipt_handle for plan in plans]
        answers = await self._tools.letters.delete(self._request.queue.url, handles)
        done = {
            plan.reading.id for plan, failure in zip(plans, answers, strict=True) if failure is None
        }
        self.report.taken_out += len(done)
        return done


def _details(plans: Sequence[Planned]) -> dict[str, dict[str, Any]]:
    return {
        plan.reading.id: {
            "original_id": plan.reading.original_id,
            "to": plan.address.name if plan.address else None,
            "key": plan.key,
            "forced": plan.is_forced,
        }
        for plan in plans
    }
