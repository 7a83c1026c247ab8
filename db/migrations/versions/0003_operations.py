"""What operators look at: processes, how deliveries ended, actions and who did them.

Called by Alembic through `billfleet_db.migrate`. The SQL lies in `sql/0003`.
"""

from alembic import op

from billfleet_db.scripts import run_scripts

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, their guards and grants, and the indexes from a message to its effects."""
    run_scripts(op.get_bind(), "0003")


def downgrade() -> None:
    """Refuse: going back would drop who did what."""
    raise NotImplementedError("0003 keeps operators' actions: to start over, create a new database")
