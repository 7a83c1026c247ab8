"""The front door may tell of mails, and take a reader's word that they want no more.

Called by Alembic through `billfleet_db.migrate`. The SQL lies in `sql/0010`.
"""

from alembic import op

from billfleet_db.scripts import run_scripts

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add policies and grants."""
    run_scripts(op.get_bind(), "0010")


def downgrade() -> None:
    """Refuse: the front door of this version needs them."""
    raise NotImplementedError("0010 adds policies only; a version before it runs with them")
