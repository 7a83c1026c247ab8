"""`replay` and `import`: messages go back to the queues that they belong to.

`commands/replay_dlq` calls these with options already understood. Each puts the tools of one
queue together and lets a `Replayer` do the work.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from billfleet_ops.errors import file_errors_mapped
from billfleet_ops.output import Output
from billfleet_ops.replay import views
from billfleet_ops.replay.canary import Outcomes, run_with_canary
from billfleet_ops.replay.filters import Filter
from billfleet_ops.replay.given import GivenMessages
from billfleet_ops.replay.journal import Journal
from billfleet_ops.replay.lines import parse_line
from billfleet_ops.replay.pace import Pace
from billfleet_ops.replay.places import address_book, find_queue
from billfleet_ops.replay.plan import Rules
from billfleet_ops.replay.run import Replayer, Report, Request, Tools
from billfleet_ops.replay.session import Session, interruptible, opened
from billfleet_workers.runtime.ports.dead_letters import DeadLetters, DeadMessage, QueueFacts


@dataclass(frozen=True)
class Replay:
    """What `replay` was asked for."""

    queues: Sequence[str] = ()
    to: str | None = None
    filter: Filter = field(default_factory=Filter)
    rules: Rules = field(default_factory=Rules)
    message_id: str | None = None
    limit: int | None = None
    rate: float | None = None
    concurrency: int = 4
    canary: int | None = None
    canary_wait_s: float = 120.0
    without_dedupe: bool = False
    acts: bool = False


async def replay(output: Output, asked: Replay, *, as_json: bool) -> bool:
    """Each queue in turn; whether all went well."""
    results: list[tuple[str, Report, Outcomes | None]] = []
    async with opened() as session:
        for queue in await session.queues(asked.queues):
            report, outcomes = await _replay_queue(session, output, asked, queue, as_json=as_json)
            results.append((queue.name, report, outcomes))
            if not as_json:
                views.show_report(output, queue.name, report, outcomes)
            if report.stopped is not None:
                break
    if as_json:
        output.json([views.report_json(*one) for one in results])
    return all(views.exits_well(report) for _, report, _ in results)


async def _replay_queue(
    session: Session, output: Output, asked: Replay, queue: QueueFacts, *, as_json: bool
) -> tuple[Report, Outcomes | None]:
    request = Request(
        run=session.new_run(),
        queue=queue,
        book=await address_book(session.letters, session.stack, queue, asked.to),
        filter=asked.filter,
        only_id=asked.message_id,
        rules=asked.rules,
        acts=asked.acts,
        concurrency=asked.concurrency,
    )
    with (
        closing(Journal.open(session.home, queue.name, queue.url)) as journal,
        views.progress_bar(output, queue.waiting, is_wanted=not as_json) as advance,
    ):
        dedupe = None if asked.without_dedupe else session.dedupe
        tools = Tools(session.letters, dedupe, journal, session.clock)
        pace = Pace(asked.rate, session.clock)
        replayer = Replayer(
            tools, request, pace=pace, progress=lambda report: advance(report.looked_at)
        )
        with interruptible(replayer.stop):
            if asked.canary is not None and asked.acts:
                return await run_with_canary(
                    replayer, tools, request, count=asked.canary, wait_s=asked.canary_wait_s
                )
            return await replayer.run(limit=asked.limit), None


async def import_file(
    output: Output, file: Path, to: str | None, rate: float | None, *, acts: bool, as_json: bool
) -> bool:
    """Each stretch of lines of one queue, as a run of its own."""
    results: list[tuple[str, Report]] = []
    async with opened() as session:
        with file_errors_mapped(file), file.open(encoding="utf-8") as lines:
            numbered = (
                parse_line(line, number) for number, line in enumerate(lines, 1) if line.strip()
            )
            for arn, stretch in groupby(numbered, key=lambda pair: pair[1]):
                queue = await find_queue(session.letters, session.stack, arn)
                report = await _import_stretch(
                    session, queue, (message for message, _ in stretch), to, rate, acts=acts
                )
                results.append((queue.name, report))
                if not as_json:
                    views.show_report(output, queue.name, report, None)
                if report.stopped is not None:
                    break
    if as_json:
        output.json([views.report_json(name, report, None) for name, report in results])
    return all(views.exits_well(report) for _, report in results)


async def _import_stretch(
    session: Session,
    queue: QueueFacts,
    messages: Iterator[DeadMessage],
    to: str | None,
    rate: float | None,
    *,
    acts: bool,
) -> Report:
    request = Request(
        run=session.new_run(),
        queue=queue,
        book=await address_book(session.letters, session.stack, queue, to),
        acts=acts,
        concurrency=1,
    )
    letters: DeadLetters = GivenMessages(session.letters, messages, inside=False)
    with closing(Journal.open(session.home, queue.name, queue.url)) as journal:
        tools = Tools(letters, session.dedupe, journal, session.clock)
        replayer = Replayer(tools, request, pace=Pace(rate, session.clock))
        with interruptible(replayer.stop):
            return await replayer.run()
