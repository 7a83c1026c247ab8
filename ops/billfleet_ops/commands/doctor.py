"""`billfleet doctor`: everything the fleet needs, looked at one by one.

The checks live in `database_checks` and `aws_checks`; this module runs and prints them. A
check that finds something wrong never keeps the next one from looking.
"""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from billfleet_ops.aws_checks import check_aws
from billfleet_ops.configuration import clients_of, load_settings
from billfleet_ops.database_checks import check_database
from billfleet_ops.endings import as_operator_error
from billfleet_ops.errors import OpsError
from billfleet_ops.exits import Exit
from billfleet_ops.finding import Finding, fine, wrong, wrong_because
from billfleet_ops.output import Output
from billfleet_ops.teaching import lesson
from billfleet_workers.settings import Settings

SHORT = "Say what is wrong with this installation and what to do."
EPILOG = lesson(
    ("billfleet doctor", "look at everything; exit 1 when something is wrong"),
    ("billfleet doctor --json | jq '.[] | select(.level == \"error\")'", "only what is wrong"),
    ("BILLFLEET_STACK=billfleet-prod billfleet doctor", "another installation"),
)
STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", short_help=SHORT, epilog=EPILOG)(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
) -> None:
    """Say what is wrong with this installation and what to do about it.

    It looks at the settings, the database (reachable, migrated, the right role, the triggers
    that keep the ledger append-only), every queue, dead-letter queue, topic and table, the
    permissions that can be asked without an effect, the clocks, and what waits for a person.
    It changes nothing. Warnings name the page of ops/runbooks to read; they do not fail it.
    """
    output = Output()
    findings = examine(lambda: datetime.now(UTC))
    if as_json:
        output.json([asdict(finding) for finding in findings])
    else:
        _print(findings, output)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(Exit.FAILED)


def examine(now: Callable[[], datetime]) -> list[Finding]:
    """All findings, settings first: without them nothing else can be asked."""
    try:
        settings = load_settings()
    except OpsError as error:
        return [wrong_because("settings", error)]
    return [
        _settings(settings),
        *_database(settings),
        *check_aws(clients_of(settings), settings.stack, now),
    ]


def _settings(settings: Settings) -> Finding:
    if settings.gateway == "stripe" and settings.stripe_api_key is None:
        return wrong(
            "settings",
            "BILLFLEET_GATEWAY is stripe and BILLFLEET_STRIPE_API_KEY is not set",
            "Set the key, or BILLFLEET_GATEWAY=log, which charges nobody.",
        )
    return fine("settings", f"valid; stack {settings.stack}, gateway {settings.gateway}")


def _database(settings: Settings) -> list[Finding]:
    try:
        url = settings.database_url.get_secret_value()
        return asyncio.run(check_database(url, gateway=settings.gateway))
    except Exception as error:
        known = as_operator_error(error)
        if known is None:
            raise
        return [wrong_because("database", known)]


def _print(findings: list[Finding], output: Output) -> None:
    for finding in findings:
        output.say(f"{finding.level:<8}{finding.check}: {finding.what}", STYLES[finding.level])
        if finding.remedy:
            output.say(f"        {finding.remedy}")
    output.say(verdict(findings))


def verdict(findings: list[Finding]) -> str:
    """The last line: how many are wrong, and how many want a look."""
    wrong_ones = sum(finding.level == "error" for finding in findings)
    doubts = sum(finding.level == "warning" for finding in findings)
    said = f"{wrong_ones} of {len(findings)} are wrong" if wrong_ones else "Nothing is wrong"
    return f"{said}; {doubts} of {len(findings)} want a look." if doubts else f"{said}."
