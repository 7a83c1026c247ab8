"""Where Alembic meets a connection that `billfleet_db.migrate` has already opened and locked.

Called by Alembic. It must not know URLs: opening, locking and mapping errors is the caller's job.
"""

from alembic import context


def run() -> None:
    """Run the wanted revisions inside the caller's transaction."""
    connection = context.config.attributes.get("connection")
    if connection is None:
        raise RuntimeError("migrations run through `billfleet migrate`, not through alembic itself")
    context.configure(connection=connection, version_table_schema="public")
    with context.begin_transaction():
        context.run_migrations()


run()
