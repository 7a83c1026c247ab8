"""Files that people were given: what is where, until when, and whether it was revoked.

Called by Alembic through `billfleet_db.migrate`. The SQL lies in `sql/0005`.
"""

from alembic import op

from billfleet_db.scripts import run_scripts

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of files and its grants."""
    run_scripts(op.get_bind(), "0005")


def downgrade() -> None:
    """Refuse: going back would leave files that nobody can find or revoke."""
    raise NotImplementedError("0005 keeps links: to start over, create a new database")
