import asyncio
import hashlib
import json
from datetime import date

import pytest
from sqlalchemy import text

from billfleet_db import Database
from billfleet_db.errors import DatabaseMisconfigured
from billfleet_db.ledger import NewTransfer, ensure_ledger_accounts, post_transfers
from billfleet_db.seals import Seal, check_seals, genesis_hash, last_seal, link_hash, seal
from ledger_examples import charge, payment, unguarded


async def post(database: Database, *rows: NewTransfer) -> list[int]:
    async with database.transaction() as connection:
        return [row.transfer_id for row in await post_transfers(connection, rows)]


async def make_seal(
    database: Database, tenant_id: str = "acme", rows_max: int = 100
) -> Seal | None:
    async with database.transaction() as connection:
        return await seal(connection, tenant_id, rows_max)


async def faults(database: Database, tenant_id: str = "acme") -> list[str]:
    async with database.transaction() as connection:
        return [broken.message for broken in await check_seals(connection, tenant_id)]


@pytest.fixture
async def sealed(company: Database) -> Database:
    """Twelve charges of acme under three seals of four."""
    for month in range(1, 13):
        await post(company, charge(period_start=date(2025, month, 1), amount_minor=100 + month))
    for _ in range(3):
        assert await make_seal(company, rows_max=4) is not None
    assert await make_seal(company) is None
    assert await faults(company) == []
    return company


async def test_each_seal_covers_what_the_last_one_did_not(company: Database) -> None:
    """R40: one chain per tenant."""
    first = await post(company, charge("acc-1"), charge("acc-2"), charge(tenant_id="bolt"))
    one = await make_seal(company)
    second = await post(company, charge("acc-3"))
    two = await make_seal(company)
    bolt = await make_seal(company, "bolt")

    assert one is not None
    assert two is not None
    assert bolt is not None
    assert (one.seal_no, one.rows, one.first_transfer_id) == (1, 2, first[0])
    assert (two.seal_no, two.rows, two.first_transfer_id) == (2, 1, second[0])
    assert two.previous_hash == one.hash
    assert one.previous_hash == genesis_hash("acme") != bolt.previous_hash
    assert await make_seal(company) is None


async def test_the_hash_is_the_documented_one_computed_elsewhere(company: Database) -> None:
    """R40: canonical rows cover id, tenant, key, kind, account, period, amount, sides and time."""
    await post(company, charge(), payment(reason='ümlaut "quoted"', amount_minor=10))
    made = await make_seal(company)
    assert made is not None
    async with company.transaction() as connection:
        rows = await connection.execute(
            text("""
                SELECT t.transfer_id, t.tenant_id, t.transfer_key, t.kind, t.account_id,
                  CAST(t.period_start AS text), t.amount_minor, t.currency,
                  t.debit_id, d.kind, d.account_id, t.credit_id, c.kind, c.account_id,
                  t.reverses, t.reason, t.work_id,
                  CAST(extract(epoch FROM t.posted_at) * 1000000 AS bigint), CAST(t.xact AS text)
                FROM billing.transfers t
                JOIN billing.ledger_accounts d ON d.ledger_account_id = t.debit_id
                JOIN billing.ledger_accounts c ON c.ledger_account_id = t.credit_id
                ORDER BY t.xact, t.transfer_id
            """)
        )
        digests = [
            hashlib.sha256(json.dumps(list(row), ensure_ascii=False).encode()).digest()
            for row in rows
        ]
    rows_digest = hashlib.sha256(b"".join(digests)).digest()
    assert made.hash == link_hash(genesis_hash("acme"), 1, 2, rows_digest)


async def test_a_transaction_that_commits_late_is_sealed_later(
    company: Database, superuser_database: Database
) -> None:
    """R40: its row has a smaller id than sealed ones and still never slips behind a seal."""
    async with company.transaction() as connection:
        await ensure_ledger_accounts(connection, "acme", "USD", ["acc-1", "acc-2"])
    async with superuser_database.transaction() as late:
        (late_row,) = await post_transfers(late, [charge("acc-1")])
        (early_id,) = await post(company, charge("acc-2"))
        assert late_row.transfer_id < early_id
        assert await make_seal(company) is None

    one = await make_seal(company)
    assert one is not None
    assert one.rows == 2
    assert await faults(company) == []


async def test_rows_older_than_a_running_transaction_are_sealed_and_the_rest_waits(
    company: Database, superuser_database: Database
) -> None:
    """R40."""
    await post(company, charge("acc-1"))
    async with superuser_database.transaction() as late:
        await post_transfers(late, [charge("acc-2")])
        await post(company, charge("acc-3"))
        one = await make_seal(company)
        assert one is not None
        assert one.rows == 1

    two = await make_seal(company)
    assert two is not None
    assert two.rows == 2
    assert await faults(company) == []


async def test_sealers_at_once_make_one_chain(company: Database) -> None:
    """R40: one writer per tenant."""
    for month in range(1, 10):
        await post(company, charge(period_start=date(2025, month, 1)))

    made = await asyncio.gather(*(make_seal(company, rows_max=2) for _ in range(8)))

    assert sorted(s.seal_no for s in made if s) == [1, 2, 3, 4, 5]
    assert await faults(company) == []


@pytest.mark.parametrize(
    "edit",
    [
        "amount_minor = amount_minor + 1",
        "account_id = 'acc-2'",
        "period_start = period_start + 365",
        "transfer_key = 'other'",
        "kind = 'payment'",
        "reason = 'other'",
        "work_id = 'other'",
        "debit_id = credit_id, credit_id = debit_id",
        "currency = 'EUR'",
        "posted_at = posted_at + interval '1 microsecond'",
        "reverses = 1",
        "transfer_id = 4711",
    ],
)
async def test_an_edited_row_is_found(
    sealed: Database, superuser_database: Database, edit: str
) -> None:
    """R40: edit."""
    async with unguarded(superuser_database) as connection:
        await connection.execute(
            text("ALTER TABLE billing.transfers DROP CONSTRAINT IF EXISTS ck_transfers_reverses")
        )
        await connection.execute(
            text("ALTER TABLE billing.transfers ALTER transfer_id DROP IDENTITY")
        )
        await connection.execute(
            text(f"UPDATE billing.transfers SET {edit} WHERE period_start = '2025-06-01'")
        )

    (fault,) = await faults(sealed)
    assert "edited or moved" in fault


async def test_a_row_moved_to_another_tenant_is_missed_by_its_own(
    sealed: Database, superuser_database: Database
) -> None:
    """R40: the tenant is covered."""
    async with unguarded(superuser_database) as connection:
        await connection.execute(
            text("UPDATE billing.transfers SET tenant_id = 'bolt' WHERE amount_minor = 106")
        )
    (fault,) = await faults(sealed)
    assert "1 of 4 rows are gone" in fault


async def test_a_deleted_row_is_found(sealed: Database, superuser_database: Database) -> None:
    """R40: deletion."""
    async with unguarded(superuser_database) as connection:
        await connection.execute(text("DELETE FROM billing.transfers WHERE amount_minor = 106"))
    (fault,) = await faults(sealed)
    assert "1 of 4 rows are gone" in fault


async def test_all_rows_of_a_seal_deleted_are_found(
    sealed: Database, superuser_database: Database
) -> None:
    """R40: deletion."""
    async with unguarded(superuser_database) as connection:
        await connection.execute(text("DELETE FROM billing.transfers WHERE amount_minor > 108"))
    (fault,) = await faults(sealed)
    assert "4 of 4 rows are gone" in fault


async def test_two_rows_that_changed_places_are_found(
    sealed: Database, superuser_database: Database
) -> None:
    """R40: reorder, inside one seal."""
    async with unguarded(superuser_database) as connection:
        await connection.execute(
            text("""
                UPDATE billing.transfers t SET xact = o.xact FROM billing.transfers o
                WHERE (t.amount_minor, o.amount_minor) IN ((105, 106), (106, 105))
            """)
        )
    (fault,) = await faults(sealed)
    assert "edited or moved" in fault


async def test_a_row_inserted_between_sealed_ones_is_found(
    sealed: Database, superuser_database: Database
) -> None:
    """R40: insertion."""
    async with unguarded(superuser_database) as connection:
        await connection.execute(
            text("""
                INSERT INTO billing.transfers (tenant_id, transfer_key, kind, account_id,
                  period_start, debit_id, credit_id, amount_minor, currency, work_id, xact)
                SELECT tenant_id, 'other', 'payment', account_id, period_start, credit_id, debit_id,
                  amount_minor, currency, work_id, xact
                FROM billing.transfers WHERE amount_minor = 106
            """)
        )
    (fault,) = await faults(sealed)
    assert "1 rows were put in afterwards" in fault


async def test_a_missing_seal_is_found(sealed: Database, superuser_database: Database) -> None:
    """R40: gap."""
    async with unguarded(superuser_database) as connection:
        await connection.execute(text("DELETE FROM billing.seals WHERE seal_no = 2"))
    (fault,) = await faults(sealed)
    assert fault == "seals 2 to 2 are missing"


async def test_a_seal_made_anew_over_edited_rows_breaks_the_next_one(
    sealed: Database, superuser_database: Database
) -> None:
    """R40: the chain."""
    async with unguarded(superuser_database) as connection:
        await connection.execute(
            text("UPDATE billing.seals SET hash = sha256('forged') WHERE seal_no = 1")
        )
    assert len(await faults(sealed)) == 2


async def test_a_redefined_ledger_account_is_found(
    sealed: Database, superuser_database: Database
) -> None:
    """R40: what a side means is covered."""
    async with unguarded(superuser_database) as connection:
        # In two steps, because kinds are unique per tenant and currency.
        for old, new in (("revenue", "bad_debt"), ("cash", "revenue")):
            await connection.execute(
                text("DELETE FROM billing.ledger_accounts WHERE kind = :new"), {"new": new}
            )
            await connection.execute(
                text("UPDATE billing.ledger_accounts SET kind = :new WHERE kind = :old"),
                {"old": old, "new": new},
            )
    assert len(await faults(sealed)) == 3


async def test_a_cluster_whose_transaction_numbers_began_anew_is_refused(
    sealed: Database, superuser_database: Database
) -> None:
    """R40: after restoring a dump, new rows would lie before the sealed ones."""
    async with unguarded(superuser_database) as connection:
        await connection.execute(
            text("UPDATE billing.seals SET last_xact = '9000000000' WHERE seal_no = 3")
        )
    with pytest.raises(DatabaseMisconfigured, match="pg_resetwal"):
        await make_seal(sealed)


async def test_a_tenant_without_transfers_has_no_seal(company: Database) -> None:
    async with company.transaction() as connection:
        assert await seal(connection, "acme") is None
        assert await last_seal(connection, "acme") is None
        assert await check_seals(connection, "acme") == []
