"""`billfleet reconcile`: after the database was restored to a moment, what to do about the rest.

The looking is `reconciling`'s; this module prints it, and asks before it forgets anything.
"""

import asyncio
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from billfleet_db import Database
from billfleet_ops.configuration import clients_of, load_settings
from billfleet_ops.errors import UsageWrong
from billfleet_ops.exits import Exit
from billfleet_ops.finding import Finding
from billfleet_ops.output import Output
from billfleet_ops.reconciling import (
    database_findings,
    dedupe_finding,
    done_since,
    forget,
    gateway_finding,
    sources_finding,
)
from billfleet_ops.teaching import lesson
from billfleet_workers.settings import Settings

EPILOG = lesson(
    ("billfleet reconcile --restored-to 2026-03-01T12:00:00", "look; change nothing"),
    (
        "billfleet reconcile --restored-to 2026-03-01T12:00:00 --forget --yes",
        "forget what was recorded as done since, so that it can be done again",
    ),
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reconcile", epilog=EPILOG)(reconcile)


def reconcile(
    restored_to: Annotated[
        datetime, typer.Option("--restored-to", metavar="UTC", help="The moment, in UTC.")
    ],
    forgetting: Annotated[
        bool, typer.Option("--forget", help="Forget dedupe records of work done since.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Really forget.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
) -> None:
    """Compare a restored database with the dedupe table, the outbox and the gateway.

    Run it while no worker runs. It ends with 1 as long as something would be turned away that
    must be done again; ops/guides/recovery.md has the whole drill.
    """
    moment = restored_to if restored_to.tzinfo else restored_to.replace(tzinfo=UTC)
    if moment > datetime.now(UTC):
        raise UsageWrong(
            "That moment is in the future", where="--restored-to", remedy="Give it in UTC."
        )
    settings, output = load_settings(), Output()
    clients = clients_of(settings)
    records = list(done_since(clients, settings.stack, moment))
    if forgetting and yes:
        gone = sum(forget(clients, settings.stack, record) for record in records)
        output.note(f"{gone:,} records were forgotten.")
        records = list(done_since(clients, settings.stack, moment))
    elif forgetting:
        output.note(f"{len(records):,} records would be forgotten; say --yes as well.")
    found = [
        *asyncio.run(_of_database(settings, moment)),
        dedupe_finding(Counter(record.queue for record in records)),
        gateway_finding(settings.gateway),
        sources_finding(moment),
    ]
    _say(output, found, as_json=as_json)
    if any(finding.level == "error" for finding in found):
        raise typer.Exit(Exit.FAILED)


async def _of_database(settings: Settings, moment: datetime) -> list[Finding]:
    database = Database.connect(settings.database_url.get_secret_value(), pool_size=1)
    try:
        return await database_findings(database, moment)
    finally:
        await database.close()


def _say(output: Output, found: list[Finding], *, as_json: bool) -> None:
    if as_json:
        output.json([asdict(finding) for finding in found])
        return
    for finding in found:
        output.say(f"{finding.level:<8} {finding.check}: {finding.what}")
        if finding.remedy:
            output.say(f"{'':<8} {finding.remedy}")
