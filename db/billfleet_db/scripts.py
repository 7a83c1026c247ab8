"""Finds the migration scripts and runs one revision's SQL files in order.

Called by `migrate` and by the revisions themselves. The scripts lie beside this package in a
checkout (`db/migrations`) and inside it in an installed wheel (`billfleet_db/migrations`).
"""

from pathlib import Path

from sqlalchemy import Connection


def script_location() -> Path:
    """Return the folder that holds `env.py`, `versions/` and `sql/`."""
    package = Path(__file__).resolve().parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def run_scripts(connection: Connection, revision: str) -> None:
    """Run every file of `sql/<revision>` in the order of its name, on an open transaction."""
    for script in sorted((script_location() / "sql" / revision).glob("*.sql")):
        _run(connection, script.read_text(encoding="utf-8"))


def _run(connection: Connection, statements: str) -> None:
    # SQLAlchemy prepares what it executes, and PostgreSQL prepares one statement at a time; a whole
    # file goes through asyncpg's own execute. SQLAlchemy opens its transaction at the first
    # statement, so there is one to join only after it has executed something itself.
    connection.exec_driver_sql("SELECT 1")
    adapted = connection.connection.dbapi_connection
    assert adapted is not None, "a connection in use has a driver connection"  # noqa: S101 (typing)
    adapted.run_async(lambda driver: driver.execute(statements))
