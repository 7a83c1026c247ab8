"""Mail: contacts, mails, requests for due bills, suppressions, bounces, notices.

Called by Alembic through `billfleet_db.migrate`. The SQL lies in `sql/0008`.
"""

from alembic import op

from billfleet_db.scripts import run_scripts

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the mail schema and its grants."""
    run_scripts(op.get_bind(), "0008")


def downgrade() -> None:
    """Refuse: going back would forget who must not be written to."""
    raise NotImplementedError("0008 keeps suppressions: to start over, create a new database")
