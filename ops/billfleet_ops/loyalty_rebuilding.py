"""`billfleet loyalty rebuild-view`: make the DynamoDB table of transactions anew from PostgreSQL.

The rebuild is the fleet's own, reached through `billfleet_workers.main`; this module shows how far
it is and what it found.
"""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from billfleet_ops.bars import bars
from billfleet_ops.commands.sweep import existing
from billfleet_ops.configuration import load_settings
from billfleet_ops.exits import Exit
from billfleet_ops.output import Output
from billfleet_ops.teaching import lesson

if TYPE_CHECKING:
    from billfleet_workers.main.loyalty import RebuildReport

EPILOG = lesson(
    ("billfleet loyalty rebuild-view --dry-run", "only say what differs; 1 when something does"),
    ("billfleet loyalty rebuild-view", "afterwards nothing differs"),
    ("billfleet loyalty rebuild-view --tenant acme --json", "one tenant, for a program"),
)


def register(group: typer.Typer) -> None:
    """Add the command to `billfleet loyalty`."""
    group.command("rebuild-view", short_help="Make the table of transactions anew.", epilog=EPILOG)(
        rebuild_view
    )


def rebuild_view(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only this tenant's.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare; write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
) -> None:
    """Make the table that front ends look transactions up in equal to PostgreSQL.

    Every row is compared with its entry and written where they differ, and entries without a row
    are deleted. Workers may go on meanwhile. Run it after the table was lost or restored, or after
    BILLFLEET_LOYALTY_VIEW_RETAIN_DAYS was changed. Repeats find nothing.
    """
    # Imported here, because no other command of this group should wait for the fleet to load.
    from billfleet_workers.main.loyalty import rebuild_loyalty_view

    settings = load_settings()
    tenant = asyncio.run(existing(settings, tenant))
    with bars() as shown:
        rows = shown.add_task("transactions compared", total=None)
        keys = shown.add_task("entries looked up", total=None)

        def progress(report: "RebuildReport") -> None:
            shown.update(rows, total=report.total, completed=report.compared)
            shown.update(keys, total=report.total, completed=report.looked_up)

        report = asyncio.run(
            rebuild_loyalty_view(settings, tenant=tenant, dry_run=dry_run, progress=progress)
        )
    _show(Output(), report, as_json=as_json)
    if report.is_dry_run and report.differences:
        raise typer.Exit(Exit.FAILED)


def _show(output: Output, report: "RebuildReport", *, as_json: bool) -> None:
    counts = {word: report.differences[word] for word in ("missing", "different", "stray")}
    if as_json:
        output.json(
            {
                "transactions": report.compared,
                **counts,
                "examples": report.examples,
                "is_dry_run": report.is_dry_run,
            }
        )
        return
    done = "found" if report.is_dry_run else "mended"
    words = {"missing": "missing", "different": "different", "stray": "without a transaction"}
    output.table(
        ("entries", "count"),
        [
            ("transactions compared", report.compared),
            *((f"{words[word]}, {done}", count) for word, count in counts.items()),
        ],
    )
    for example in report.examples:
        output.say(example)
