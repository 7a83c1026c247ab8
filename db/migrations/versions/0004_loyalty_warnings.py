"""Loyalty: when cards are warned of points that end, and which warnings were given.

Called by Alembic through `billfleet_db.migrate`. The SQL lies in `sql/0004`. It only adds.
"""

from alembic import op

from billfleet_db.scripts import run_scripts

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the warnings and the programmes' days."""
    run_scripts(op.get_bind(), "0004")


def downgrade() -> None:
    """Refuse: cards would be warned a second time."""
    raise NotImplementedError("0004 keeps which warnings were given: go forward instead")
