"""Exports: what was asked for as a file of rows, and how far it has come.

Called by Alembic through `billfleet_db.migrate`. The SQL lies in `sql/0009`.
"""

from alembic import op

from billfleet_db.scripts import run_scripts

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of exports and its grants."""
    run_scripts(op.get_bind(), "0009")


def downgrade() -> None:
    """Refuse: going back would leave files that nobody knows the contents of."""
    raise NotImplementedError("0009 keeps manifests: to start over, create a new database")
