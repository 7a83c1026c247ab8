import pytest
from sqlalchemy import text

from billfleet_db import Database
from billfleet_db.errors import DatabaseMisconfigured, IntegrityRefused
from billfleet_db.ledger import post_transfers
from billfleet_db.seals import seal
from ledger_examples import charge

CHANGES = [
    "UPDATE billing.{0} SET tenant_id = tenant_id",
    "DELETE FROM billing.{0}",
    "TRUNCATE billing.{0} CASCADE",
]
TABLES = ["transfers", "ledger_accounts", "seals"]


@pytest.fixture
async def posted(company: Database) -> Database:
    async with company.transaction() as connection:
        await post_transfers(connection, [charge()])
    async with company.transaction() as connection:
        await seal(connection, "acme")
    return company


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("change", CHANGES)
async def test_workers_may_not_change_the_ledger(posted: Database, change: str, table: str) -> None:
    """R37: the app role lacks the privilege."""
    with pytest.raises(DatabaseMisconfigured, match="permission denied"):
        async with posted.transaction() as connection:
            await connection.execute(text(change.format(table)))


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    "guise",
    [
        "SET LOCAL ROLE billfleet_owner",
        "SET LOCAL ROLE postgres",
        "SET LOCAL session_replication_role = replica",
    ],
)
async def test_owner_superuser_and_replica_mode_are_refused_by_the_triggers(
    posted: Database, superuser_database: Database, guise: str, change: str, table: str
) -> None:
    """R37: ENABLE ALWAYS, for rows and for TRUNCATE."""
    async with superuser_database.transaction() as connection:
        await connection.execute(text(guise))
        with pytest.raises(IntegrityRefused, match="its rows are never changed") as refused:
            await connection.execute(text(change.format(table)))
    assert refused.value.constraint.startswith("append_only_")


async def test_truncating_what_the_ledger_refers_to_is_refused(
    posted: Database, superuser_database: Database
) -> None:
    """R37: the cascade reaches the ledger and stops there."""
    with pytest.raises(IntegrityRefused):
        async with superuser_database.transaction() as connection:
            await connection.execute(text("TRUNCATE business.tenants CASCADE"))


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TRIGGER transfers_append_only ON billing.transfers",
        "ALTER TABLE billing.transfers DISABLE TRIGGER transfers_append_only",
        "DROP TABLE billing.transfers",
        "SET ROLE billfleet_owner",
        "CREATE TABLE billing.mine (x int)",
        "UPDATE billing.attempts SET request_body = ''",
        "UPDATE billing.bills SET amount_minor = 0",
        "DELETE FROM billing.accounts",
        "INSERT INTO billing.transfers (posted_at) VALUES (now())",
        "INSERT INTO billing.transfers (xact) VALUES ('1')",
        "INSERT INTO billing.transfers (transfer_id) OVERRIDING SYSTEM VALUE VALUES (1)",
    ],
)
async def test_workers_own_nothing_and_write_only_what_is_theirs(
    company: Database, statement: str
) -> None:
    """R37: ids, times and transactions of the ledger are the database's own."""
    with pytest.raises(DatabaseMisconfigured):
        async with company.transaction() as connection:
            await connection.execute(text(statement))
