"""`billfleet status`: what waits, what is in flight, what failed, and how old it is.

Figures come from `queues` and from the database room's `figures`; this module puts them side by
side. What one half cannot tell never hides the other.
"""

import asyncio
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from billfleet_db import Database
from billfleet_db.errors import DatabaseError
from billfleet_db.figures import Backlog, backlog
from billfleet_ops.configuration import clients_of, load_settings
from billfleet_ops.endings import as_operator_error
from billfleet_ops.errors import OpsError
from billfleet_ops.exits import Exit
from billfleet_ops.output import Output, duration, harmless, table
from billfleet_ops.queues import QueueFigures, figures
from billfleet_ops.teaching import lesson
from billfleet_workers.settings import Settings

SHORT = "Show what waits, what is in flight, what failed."
EPILOG = lesson(
    ("billfleet status", "once, as tables"),
    ("billfleet status --watch", "again every two seconds, until Ctrl-C"),
    ("billfleet status --json | jq '.queues[] | select(.is_dead_letter)'", "for a program"),
)
WATCH_INTERVAL_S = 2.0


@dataclass(frozen=True)
class Status:
    """Both halves of the picture; `problems` says which half is missing and why."""

    stack: str
    at: datetime
    queues: list[QueueFigures]
    backlog: Backlog | None
    problems: list[OpsError] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The form for programs."""
        problems = [{"what": error.what, "where": error.where} for error in self.problems]
        return {**asdict(self), "problems": problems}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status", short_help=SHORT, epilog=EPILOG)(status)


def status(
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again, until Ctrl-C.")] = False,
) -> None:
    """Show queues, dead-letter queues, and the work that waits in the database.

    Nothing is received and nothing is changed. The oldest age comes from CloudWatch and is '-'
    on the embedded endpoint. It ends with 4 when the queues or the database do not answer; a
    message in a dead-letter queue is shown, and `billfleet doctor` warns of it.
    """
    output = Output()
    settings = load_settings()
    if watch and not as_json:
        _watch(settings, output)
        return
    seen = look(settings, datetime.now(UTC))
    if as_json:
        output.json(seen.as_json())
    else:
        output.console.print(_drawn(seen))
    for problem in seen.problems:
        output.problem(problem)
    if seen.problems:
        raise typer.Exit(max(problem.code for problem in seen.problems))


def look(settings: Settings, now: datetime) -> Status:
    """Ask both halves."""
    problems: list[OpsError] = []
    queues: list[QueueFigures] = []
    waiting: Backlog | None = None
    try:
        queues = figures(clients_of(settings), settings.stack, now)
        problems += _missing(queues, settings.stack)
    except OpsError as error:
        problems.append(error)
    try:
        waiting = asyncio.run(_backlog(settings.database_url.get_secret_value()))
    except DatabaseError as error:
        known = as_operator_error(error)
        assert known is not None, "every DatabaseError has an operator's word"  # noqa: S101 (typing)
        problems.append(known)
    return Status(settings.stack, now, queues, waiting, problems)


async def _backlog(url: str) -> Backlog:
    database = Database.connect(url, pool_size=1, application_name="billfleet-status")
    try:
        async with database.transaction() as connection:
            return await backlog(connection)
    finally:
        await database.close()


def _missing(queues: list[QueueFigures], stack: str) -> list[OpsError]:
    absent = [queue.name for queue in queues if not queue.exists]
    if not absent:
        return []
    missing = OpsError(
        f"These queues do not exist: {', '.join(absent)}",
        where=f"stack {stack}",
        remedy="Check BILLFLEET_STACK, or deploy ops/aws/messaging.yaml.",
    )
    missing.code = Exit.CONFIGURATION
    return [missing]


def _watch(settings: Settings, output: Output) -> None:
    with Live(console=output.console, auto_refresh=False) as live:
        while True:
            seen = look(settings, datetime.now(UTC))
            lines = [Text(harmless(f"error: {problem.what}")) for problem in seen.problems]
            live.update(Group(_drawn(seen), *lines), refresh=True)
            time.sleep(WATCH_INTERVAL_S)


def _drawn(seen: Status) -> Group:
    rows = [
        (queue.name, queue.waiting, queue.in_flight, queue.delayed, duration(queue.oldest_age_s))
        for queue in seen.queues
    ]
    columns = ["queue", "waiting", "in flight", "delayed", "oldest"]
    title = f"{seen.stack}, {seen.at:%Y-%m-%d %H:%M:%S} UTC"
    drawn = [table(columns, rows, title=title)] if rows else []
    if seen.backlog is not None:
        drawn.append(table(["in the database", ""], _backlog_rows(seen.backlog)))
    return Group(*drawn)


def _backlog_rows(waiting: Backlog) -> list[tuple[str, str | int]]:
    return [
        ("events to be sent", waiting.outbox_unsent),
        ("oldest of them", duration(waiting.outbox_oldest_age_s)),
        ("accounts due", waiting.accounts_due),
        ("accounts parked", waiting.accounts_parked),
        ("attempts with unknown outcome", waiting.attempts_unknown),
        ("of these for a human", waiting.attempts_for_a_human),
    ]
