"""Brings a database to the schema of this version, and says how far it is.

Called by `billfleet migrate`, by the embedded stack and by tests, with the owner's URL. Two
migrators at once are safe: the second waits, and finds nothing left to do.
"""

from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from billfleet_db.engine import Database
from billfleet_db.scripts import script_location

APP_ROLE: Final = "billfleet_app"
GATEWAY_ROLE: Final = "billfleet_gateway"
OWNER_ROLE: Final = "billfleet_owner"
# Any number that nothing else in the database locks; this one spells "bill".
_MIGRATION_LOCK: Final = 0x62696C6C
_STATEMENT_TIMEOUT_S: Final = 600.0
_LOCK_TIMEOUT_S: Final = 60.0
_QUOTE_PASSWORD = text(
    "SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', CAST(:role AS text), CAST(:password AS text))"
)


def head() -> str:
    """Return the revision that this version of the program needs."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise FileNotFoundError(f"no migrations in {script_location()}")
    return revision


async def upgrade(url: str, revision: str = "head") -> None:
    """Apply every pending migration in one transaction; needs the migrating login."""
    database = _database(url)
    try:
        async with database.transaction() as connection:
            await connection.execute(
                text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK}
            )
            await connection.run_sync(_upgrade, revision)
    finally:
        await database.close()


async def current(url: str) -> str | None:
    """Return the revision that the database is at, or None when it was never migrated."""
    database = _database(url)
    try:
        async with database.transaction() as connection:
            return await connection.run_sync(_current)
    finally:
        await database.close()


async def pending(url: str) -> list[str]:
    """Return the revisions that `upgrade` would apply, oldest first."""
    at = await current(url)
    script = ScriptDirectory.from_config(_config())
    return [step.revision for step in script.iterate_revisions("head", at or "base")][::-1]


async def set_app_password(url: str, password: str, *, role: str = APP_ROLE) -> None:
    """Give a login its password; for the embedded stack, which makes up its own."""
    database = _database(url)
    try:
        async with database.transaction() as connection:
            # ALTER ROLE takes no bound values, so the server quotes the password itself.
            quoted = await connection.scalar(_QUOTE_PASSWORD, {"role": role, "password": password})
            await connection.exec_driver_sql(str(quoted))
    finally:
        await database.close()


def _database(url: str) -> Database:
    return Database.connect(
        url,
        pool_size=1,
        application_name="billfleet-migrate",
        statement_timeout_s=_STATEMENT_TIMEOUT_S,
        lock_timeout_s=_LOCK_TIMEOUT_S,
    )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(script_location()).replace("%", "%%"))
    return config


def _upgrade(connection: Connection, revision: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _current(connection: Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table_schema": "public"})
    return context.get_current_revision()
