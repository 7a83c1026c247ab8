"""`billfleet migrate`: brings the database to the schema of this version.

The migrations themselves are the database room's; this module asks for them and says what was
done.
"""

import asyncio
from typing import Annotated

import typer

from billfleet_db import migrate as migrations
from billfleet_db.errors import redacted
from billfleet_ops.configuration import load_settings
from billfleet_ops.exits import Exit
from billfleet_ops.output import Output
from billfleet_ops.teaching import lesson

GATEWAY_ROLE = "billfleet_gateway"
EPILOG = lesson(
    ("billfleet migrate --check", "say what is pending; exit 1 when something is"),
    (
        "MIGRATION_DATABASE_URL=postgresql://owner@db/billfleet billfleet migrate",
        "migrate as the owner, who is not the role that workers use",
    ),
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("migrate", epilog=EPILOG)(migrate)


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; say what is pending.")
    ] = False,
    app_password: Annotated[
        str | None,
        typer.Option(
            "--app-password",
            envvar="BILLFLEET_APP_PASSWORD",
            show_envvar=True,
            help="Give the workers' login this password; better by its variable.",
        ),
    ] = None,
    gateway_password: Annotated[
        str | None,
        typer.Option(
            "--gateway-password",
            envvar="BILLFLEET_GATEWAY_PASSWORD",
            show_envvar=True,
            help="The same for the login of the front door.",
        ),
    ] = None,
) -> None:
    """Bring the database to the schema of this version.

    All pending migrations run in one transaction: either all of them are done, or none. Two
    at once are safe. The login is MIGRATION_DATABASE_URL, or DATABASE_URL when that is unset.
    """
    output = Output()
    url = load_settings().migration_url().get_secret_value()
    pending = asyncio.run(migrations.pending(url))
    if check and pending:
        output.say(f"{redacted(url)} lacks: {', '.join(pending)}. Run `billfleet migrate`.")
        raise typer.Exit(Exit.FAILED)
    if not pending:
        output.say(f"{redacted(url)} is at {migrations.head()}; nothing is pending.")
    elif not check:
        asyncio.run(migrations.upgrade(url))
        output.say(f"{redacted(url)}: applied {', '.join(pending)}.")
    logins = {migrations.APP_ROLE: app_password, GATEWAY_ROLE: gateway_password}
    for role, password in logins.items():
        if password and not check:
            asyncio.run(migrations.set_app_password(url, password, role=role))
            output.say(f"The login {role} has its password.")
