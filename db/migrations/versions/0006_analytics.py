"""Analytics: events counted once, their buckets and sketches, raw files, and reports.

Called by Alembic through `billfleet_db.migrate`. The SQL lies in `sql/0006`, one file a subject.
"""

from alembic import op

from billfleet_db.scripts import run_scripts

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the analytics schema, its guards and its grants."""
    run_scripts(op.get_bind(), "0006")


def downgrade() -> None:
    """Refuse: going back would drop what was counted."""
    raise NotImplementedError("0006 keeps what was counted: to start over, create a new database")
