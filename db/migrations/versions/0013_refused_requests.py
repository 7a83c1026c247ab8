"""An index by which bills are counted that the gateway refused to charge.

Called by Alembic through `billfleet_db.migrate`. The SQL lies in `sql/0013`.
"""

from alembic import op

from billfleet_db.scripts import run_scripts

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    run_scripts(op.get_bind(), "0013")


def downgrade() -> None:
    """Refuse: without it the count reads every bill."""
    raise NotImplementedError("0013 adds an index only; a version before it runs with it")
