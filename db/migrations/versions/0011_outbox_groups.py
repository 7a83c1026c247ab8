"""An index by which the relay keeps the order of a group on a FIFO queue.

Called by Alembic through `billfleet_db.migrate`. The SQL lies in `sql/0011`.
"""

from alembic import op

from billfleet_db.scripts import run_scripts

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    run_scripts(op.get_bind(), "0011")


def downgrade() -> None:
    """Refuse: without it a long outbox is slow."""
    raise NotImplementedError("0011 adds an index only; a version before it runs with it")
