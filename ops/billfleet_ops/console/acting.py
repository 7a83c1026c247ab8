"""What operators do through the console: plans, replays and mends, each as a job with its record.

A plan changes nothing and is not recorded. An action is written to the audit table before it
begins, by whom and what was asked, and finished with what came of it; it is carried out by the same
`Replayer` as the command, with the same journal. A job goes on when its page is closed.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from billfleet_db import Database, actions
from billfleet_db.errors import DatabaseError
from billfleet_ops.console.looks import Looks
from billfleet_ops.console.security import Session as Operator
from billfleet_ops.endings import as_operator_error
from billfleet_ops.errors import OpsError, Refused
from billfleet_ops.replay.canary import Outcomes, run_with_canary
from billfleet_ops.replay.filters import Filter
from billfleet_ops.replay.finding import find_message
from billfleet_ops.replay.journal import Journal
from billfleet_ops.replay.mending import send_edited
from billfleet_ops.replay.pace import Pace
from billfleet_ops.replay.places import address_book
from billfleet_ops.replay.plan import Rules
from billfleet_ops.replay.reading import Reading
from billfleet_ops.replay.run import Replayer, Report, Request, Tools
from billfleet_ops.replay.scan import hidden_s_for, kept_hidden
from billfleet_ops.replay.session import Session, permissions_named
from billfleet_ops.replay.views import exits_well
from billfleet_workers.runtime.ports.dead_letters import QueueFacts
from billfleet_workers.runtime.ports.queue import Hiding

JOBS_MAX = 200
NAMES_MAX = 200
CANARY_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What an operator asks for: one message, or all that a filter means."""

    queue: QueueFacts
    message_id: str | None = None
    names: tuple[str, ...] = ()
    """What else the message is called: its original id, and its event's."""
    filter: Filter = field(default_factory=Filter)
    terms: Mapping[str, str] = field(default_factory=dict)
    rate: float | None = None
    canary: int | None = None
    resend_uncertain: bool = False
    even_unreadable: bool = False

    def written(self) -> dict[str, Any]:
        """For the audit table."""
        return {
            "queue": self.queue.name,
            "message_id": self.message_id,
            "names": list(self.names),
            "filter": dict(self.terms),
            "rate": self.rate,
            "canary": self.canary,
            "resend_uncertain": self.resend_uncertain,
            "even_unreadable": self.even_unreadable,
        }


@dataclass
class Job:
    """A plan or an action, going on or over."""

    job_id: str
    verb: str
    target: str
    operator: str
    begun_at: datetime
    queue: str
    report: Report | None = None
    outcomes: Outcomes | None = None
    problem: OpsError | None = None
    ended_at: datetime | None = None
    asked: Asked | None = None

    @property
    def is_going_on(self) -> bool:
        """Whether it is not over."""
        return self.ended_at is None

    @property
    def is_well(self) -> bool:
        """Whether everything that was meant came home, or was done already."""
        return self.problem is None and self.report is not None and exits_well(self.report)

    @property
    def result(self) -> str:
        """One line on what came of it."""
        if self.problem is not None:
            return self.problem.what
        report = self.report
        if report is None:
            return "going on"
        if self.verb == "plan":
            return f"{sum(plan.sends for plan in report.rows)} of {report.looked_at} would be sent"
        said = f"{report.sent} sent, {report.taken_out} taken out, {report.stayed} stayed"
        return f"{said}; stopped: {report.stopped}" if report.stopped else said

    def answer(self) -> dict[str, Any]:
        """For the audit table."""
        if self.problem is not None:
            return {"problem": self.problem.what, "where": self.problem.where}
        report = self.report
        if report is None:
            return {}
        return {
            "run": report.run,
            "sent": report.sent,
            "taken_out": report.taken_out,
            "failed": report.failed,
            "verdicts": {verdict.value: count for verdict, count in report.verdicts.items()},
            "names": [name for plan in report.rows[:NAMES_MAX] for name in names_of(plan.reading)],
            "stopped": report.stopped,
        }


class Acting:
    """The jobs of this console."""

    def __init__(self, session: Session, database: Database, looks: Looks) -> None:
        self._session = session
        self._database = database
        self._looks = looks
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def find(self, job_id: str) -> Job | None:
        """A job of this process."""
        return self._jobs.get(job_id)

    def plan(self, asked: Asked) -> Job:
        """Begin to plan; nothing is changed."""
        job = self._job(f"plan-{secrets.token_hex(6)}", "plan", asked, operator="")
        self._start(job, lambda: self._replay(job, asked, acts=False))
        return job

    async def replay(self, operator: Operator, asked: Asked) -> Job:
        """Write down who asks for what, and begin."""
        action_id = await self._write_down(operator, "replay", asked, {})
        job = self._job(str(action_id), "replay", asked, operator=operator.operator)
        self._start(job, lambda: self._recorded(job, self._replay(job, asked, acts=True)))
        return job

    async def mend(self, operator: Operator, asked: Asked, body: str, edited: str) -> Job:
        """Send an edited body in place of the one that was seen; the journal keeps the original."""
        changed = {"body_before_sha256": _sha256(body), "body_sent": edited}
        action_id = await self._write_down(operator, "edit and replay", asked, changed)
        job = self._job(str(action_id), "edit and replay", asked, operator=operator.operator)
        self._start(job, lambda: self._recorded(job, self._mend(job, asked, body, edited)))
        return job

    async def ended(self, job: Job) -> None:
        """Wait until it is over."""
        while job.is_going_on and self._tasks:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def close(self) -> None:
        """Stop what is going on. The journal knows how far it was."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _job(self, job_id: str, verb: str, asked: Asked, *, operator: str) -> Job:
        target = asked.message_id or asked.queue.name
        now = self._session.clock.now()
        job = Job(job_id, verb, target, operator, now, asked.queue.name, asked=asked)
        self._jobs[job_id] = job
        while len(self._jobs) > JOBS_MAX:
            del self._jobs[next(iter(self._jobs))]
        return job

    def _start(self, job: Job, work: Callable[[], Any]) -> None:
        task = asyncio.create_task(self._run(job, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, job: Job, work: Callable[[], Any]) -> None:
        try:
            with permissions_named():
                await work()
        except Exception as error:  # noqa: BLE001 - a job's end is shown on its page, whatever it is
            job.problem = as_operator_error(error) or OpsError(
                f"This is a defect: {type(error).__name__}: {error}",
                where=job.target,
                remedy="Look what became of it with `replay-dlq list`, and report it.",
            )
        finally:
            job.ended_at = job.ended_at or self._session.clock.now()

    async def _write_down(
        self, operator: Operator, verb: str, asked: Asked, more: Mapping[str, Any]
    ) -> int:
        async with self._database.transaction() as connection:
            return await actions.begin(
                connection,
                begun_at=self._session.clock.now(),
                operator=operator.operator,
                session=_sha256(operator.session_id)[:12],
                verb=verb,
                target=asked.message_id or asked.queue.name,
                asked=asked.written() | dict(more),
            )

    async def _recorded(self, job: Job, work: Any) -> None:
        """Do it, and write down what came of it, also when it fails."""
        try:
            await work
        except (OpsError, ExceptionGroup, OSError) as error:
            job.problem = as_operator_error(error)
            if job.problem is None:
                raise
        finally:
            self._looks.forget(job.queue)
            await self._finish(job)

    async def _finish(self, job: Job) -> None:
        finished_at = self._session.clock.now()
        try:
            async with self._database.transaction() as connection:
                await actions.finish(
                    connection,
                    int(job.job_id),
                    finished_at=finished_at,
                    result=job.result if job.problem or job.report else "interrupted",
                    is_well=job.is_well,
                    answer=job.answer(),
                )
        except DatabaseError as error:
            # It was done; only the record of its end is missing, and the page says so.
            job.problem = as_operator_error(error)

    async def _replay(self, job: Job, asked: Asked, *, acts: bool) -> None:
        session = self._session
        request = Request(
            run=session.new_run(),
            queue=asked.queue,
            book=await address_book(session.letters, session.stack, asked.queue, None),
            filter=asked.filter,
            only_id=asked.message_id,
            rules=Rules(None, asked.resend_uncertain, asked.even_unreadable),
            acts=acts,
        )
        with closing(Journal.open(session.home, asked.queue.name, asked.queue.url)) as journal:
            tools = Tools(session.letters, session.dedupe, journal, session.clock)
            replayer = Replayer(tools, request, pace=Pace(asked.rate, session.clock))
            job.report = replayer.report
            if acts and asked.canary is not None:
                _, job.outcomes = await run_with_canary(
                    replayer, tools, request, count=asked.canary, wait_s=CANARY_WAIT_S
                )
            else:
                await replayer.run(limit=1 if asked.message_id and acts else None)

    async def _mend(self, job: Job, asked: Asked, body: str, edited: str) -> None:
        session, queue = self._session, asked.queue
        found_in, reading = await find_message(
            session.letters, [queue], asked.message_id or "", session.clock
        )
        message, hidden_s = reading.message, hidden_s_for(queue.waiting)
        is_handed_back = True
        try:
            if message.body != body:
                raise Refused(
                    "The message is not the one that was shown",
                    where=message.message_id,
                    remedy="Open it again and repeat the change.",
                )
            async with kept_hidden(
                session.letters, queue.url, [message], clock=session.clock, hidden_s=hidden_s
            ):
                job.report = await send_edited(
                    session, found_in, replace(message, body=edited), body, to=None, acts=True
                )
            is_handed_back = job.report.taken_out == 0
        finally:
            if is_handed_back:
                await session.letters.hide(queue.url, [Hiding(message.receipt_handle, 0)])


def names_of(reading: Reading) -> tuple[str, ...]:
    """Every id of a message."""
    return tuple(dict.fromkeys(filter(None, (reading.id, reading.original_id, reading.event_id))))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
