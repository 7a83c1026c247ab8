"""Loyalty: brands and stores, consent, programmes with versioned rules, cards, lots, movements.

Called by Alembic through `billfleet_db.migrate`. The SQL lies in `sql/0002`, one file a subject.
"""

from alembic import op

from billfleet_db.scripts import run_scripts

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the loyalty schema, its guards and its grants."""
    run_scripts(op.get_bind(), "0002")


def downgrade() -> None:
    """Refuse: going back would drop what customers have earned."""
    raise NotImplementedError("0002 keeps customers' points: to start over, create a new database")
