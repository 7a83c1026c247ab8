"""The front door: its role and row security, API keys, idempotency keys, webhooks, avatars.

Called by Alembic through `billfleet_db.migrate`. The SQL lies in `sql/0007`, one file a subject.
"""

from alembic import op

from billfleet_db.scripts import run_scripts

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the front door's role, its tables and its policies."""
    run_scripts(op.get_bind(), "0007")


def downgrade() -> None:
    """Refuse: going back would drop keys that callers hold."""
    raise NotImplementedError("0007 keeps API keys: to start over, create a new database")
