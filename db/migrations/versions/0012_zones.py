"""The time zones that tenants move to, from when on analytics counts by them.

Called by Alembic through `billfleet_db.migrate`. The SQL lies in `sql/0012`.
"""

from alembic import op

from billfleet_db.scripts import run_scripts

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    run_scripts(op.get_bind(), "0012")


def downgrade() -> None:
    """Refuse: old reports depend on it."""
    raise NotImplementedError("0012 keeps when a tenant moved; a version before it runs with it")
