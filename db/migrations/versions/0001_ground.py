"""The ground: tenants, customers, accounts, the ledger with its seals, collection, and the outbox.

Called by Alembic through `billfleet_db.migrate`. The SQL lies in `sql/0001`, one file a subject.
"""

from alembic import op

from billfleet_db.scripts import run_scripts

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create roles, schemas, tables, triggers and grants."""
    run_scripts(op.get_bind(), "0001")


def downgrade() -> None:
    """Refuse: going back would drop a ledger."""
    raise NotImplementedError("0001 is the first revision: to start over, create a new database")
