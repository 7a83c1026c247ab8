"""`billfleet loyalty refused`: what was refused lately, and why, from the audit table.

The trail is the fleet's own, reached through `billfleet_workers.main`; this module prints it.
"""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from billfleet_ops.commands.sweep import existing
from billfleet_ops.configuration import load_settings
from billfleet_ops.output import Output
from billfleet_ops.teaching import lesson
from billfleet_ops.why_words import moment

SHOWN_MAX = 200
EPILOG = lesson(
    ("billfleet loyalty refused --tenant acme", "of the last week"),
    ("billfleet loyalty refused --tenant acme --days 30 --json", "for a program"),
)


def register(group: typer.Typer) -> None:
    """Add the command to `billfleet loyalty`."""
    group.command("refused", short_help="What was refused lately, and why.", epilog=EPILOG)(refused)


def refused(
    tenant: Annotated[str, typer.Option("--tenant", help="The tenant's id.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="How far back.")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
) -> None:
    """Show transactions that were refused: another brand's card, too few points, none in stock.

    They are kept in the audit table for BILLFLEET_AUDIT_RETAIN_DAYS. The latest 200 are shown.
    """
    # Imported here, because no other command of this group should wait for the fleet to load.
    from billfleet_workers.main.loyalty import refused_transactions

    settings = load_settings()
    asyncio.run(existing(settings, tenant))
    since = datetime.now(UTC) - timedelta(days=days)
    found = asyncio.run(refused_transactions(settings, tenant, since=since, limit=SHOWN_MAX))
    output = Output()
    if as_json:
        output.json([asdict(entry) for entry in found])
    elif found:
        output.table(
            ("when", "card", "transaction", "reason"),
            [(moment(one.at), one.subject, one.reference, one.reason) for one in found],
        )
    else:
        output.say(f"Nothing of {tenant} was refused in the last {days} days.")
