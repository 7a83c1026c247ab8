from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db import Database
from billfleet_db.accounts import advance
from billfleet_db.ledger import post_transfers, refund, reverse
from billfleet_db.refusals import NewRefusal, record
from billfleet_db.seals import seal
from billfleet_db.verify import Finding, verify
from ledger_examples import add_bill, charge, payment, unguarded

FIRST, SECOND = "acme:acc-1:2025-01-01:1", "acme:acc-1:2025-01-01:2"


async def audit(database: Database, tenant_id: str | None = None) -> list[Finding]:
    async with database.transaction("REPEATABLE READ") as connection:
        return await verify(connection, tenant_id)


@pytest.fixture
async def clean(company: Database) -> Database:
    """January: acc-1 paid, acc-2 open, acc-3 void after a reversed charge; everything sealed."""
    async with company.transaction() as connection:
        posted = await post_transfers(
            connection, [charge("acc-1"), payment("acc-1"), charge("acc-2"), charge("acc-3")]
        )
        await add_bill(connection, posted[0].transfer_id, "paid")
        await add_bill(connection, posted[2].transfer_id, "open")
        await add_bill(connection, posted[3].transfer_id, "void")
        await reverse(connection, posted[3].transfer_id, "billed in error", "work-2")
    await attempt(company, FIRST, "succeeded")
    async with company.transaction() as connection:
        await seal(connection, "acme")
    assert await audit(company) == []
    return company


@asynccontextmanager
async def tampering(database: Database) -> AsyncIterator[AsyncConnection]:
    async with unguarded(database) as connection:
        await connection.execute(text("ALTER TABLE billing.bills DISABLE TRIGGER ALL"))
        yield connection


async def checks(database: Database) -> set[str]:
    return {finding.check for finding in await audit(database) if finding.check != "seals"}


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE billing.bills SET amount_minor = 1 WHERE account_id = 'acc-2'", "bill_charge"),
        ("UPDATE billing.bills SET currency = 'EUR' WHERE account_id = 'acc-2'", "bill_charge"),
        (
            "UPDATE billing.bills SET period_start = '2025-01-02' WHERE state = 'open'",
            "bill_charge",
        ),
        ("DELETE FROM billing.bills WHERE state = 'open'", "charge_bill"),
        ("DELETE FROM billing.transfers WHERE kind = 'payment'", "paid"),
        ("UPDATE billing.bills SET state = 'open' WHERE state = 'paid'", "paid"),
        ("UPDATE billing.bills SET state = 'paid' WHERE state = 'open'", "paid"),
        ("UPDATE billing.bills SET state = 'open' WHERE state = 'void'", "void"),
        ("UPDATE billing.bills SET state = 'void' WHERE state = 'open'", "void"),
        ("UPDATE billing.transfers SET amount_minor = 1 WHERE kind = 'reversal'", "reversal"),
        ("UPDATE billing.transfers SET currency = 'EUR' WHERE kind = 'payment'", "sides"),
        ("UPDATE billing.transfers SET account_id = 'acc-2' WHERE kind = 'payment'", "sides"),
        ("UPDATE billing.transfers SET debit_id = -1 WHERE kind = 'payment'", "sides"),
        ("UPDATE billing.transfers SET kind = 'refund' WHERE kind = 'payment'", "sides"),
        ("UPDATE billing.transfers SET debit_id = -1 WHERE kind = 'payment'", "balance"),
        ("UPDATE billing.bills SET next_attempt_at = NULL WHERE state = 'open'", "forgotten"),
        ("DELETE FROM billing.attempts", "payment_attempt"),
        ("UPDATE billing.attempts SET amount_minor = 1", "payment_attempt"),
        ("UPDATE billing.attempts SET currency = 'EUR'", "payment_attempt"),
        (
            "UPDATE billing.accounts SET rebilling_date = '2025-01-31' WHERE account_id = 'acc-1'",
            "next_date",
        ),
        ("UPDATE billing.accounts SET anchor_day = 15 WHERE account_id = 'acc-1'", "anchor"),
    ],
)
async def test_each_contradiction_in_the_books_is_found(
    clean: Database, superuser_database: Database, statement: str, found: str
) -> None:
    async with tampering(superuser_database) as connection:
        await connection.execute(text(statement))
    assert found in await checks(clean)


async def test_tampering_with_sealed_rows_is_found(
    clean: Database, superuser_database: Database
) -> None:
    """R40."""
    async with tampering(superuser_database) as connection:
        await connection.execute(text("UPDATE billing.transfers SET work_id = 'other'"))
    (finding,) = await audit(clean)
    assert (finding.check, finding.tenant_id, finding.subject) == ("seals", "acme", "seal 1")


async def test_a_reversed_payment_of_a_paid_bill_is_found(clean: Database) -> None:
    async with clean.transaction() as connection:
        paid = await connection.scalar(
            text("SELECT transfer_id FROM billing.transfers WHERE kind = 'payment'")
        )
        await reverse(connection, paid or 0, "bounced", "work-3")
    assert await checks(clean) == {"paid", "attempt"}


@pytest.mark.parametrize(
    ("key", "state", "found"),
    [
        (FIRST, "succeeded", set()),
        (FIRST, "declined", {"attempt"}),
        (FIRST, "unknown", {"attempt"}),
        (SECOND, "succeeded", {"attempt"}),
        (SECOND, "declined", set()),
    ],
)
async def test_an_attempt_that_says_otherwise_than_the_ledger_is_found(
    clean: Database, key: str, state: str, found: set[str]
) -> None:
    """R29: money that was taken and not posted would be taken again."""
    await attempt(clean, key, state)
    assert await checks(clean) == found


async def test_an_attempt_whose_payment_was_taken_back_is_no_longer_paid(clean: Database) -> None:
    """R31: and taking that back in turn makes it paid again."""
    last = "SELECT max(transfer_id) FROM billing.transfers WHERE account_id = 'acc-1'"
    for is_wrong in (True, False):
        async with clean.transaction() as connection:
            await reverse(connection, await connection.scalar(text(last)) or 0, "bank", "work-3")
        assert ("attempt" in await checks(clean)) == is_wrong


async def attempt(database: Database, key: str, state: str) -> None:
    async with database.transaction() as connection:
        await connection.execute(
            text("""
                INSERT INTO billing.attempts (tenant_id, account_id, period_start, attempt_no,
                  attempt_key, gateway, request_body, amount_minor, currency, state, work_id)
                VALUES ('acme', 'acc-1', '2025-01-01', :no, :key, 'log', '{}', 2985, 'USD', :state,
                  'work')
                ON CONFLICT ON CONSTRAINT pk_attempts DO UPDATE SET state = excluded.state
            """),
            {"no": int(key[-1]), "key": key, "state": state},
        )


async def give_back(database: Database, amount_minor: int) -> None:
    async with database.transaction() as connection:
        await refund(
            connection,
            tenant_id="acme",
            account_id="acc-1",
            period_start=date(2025, 1, 1),
            amount_minor=amount_minor,
            currency="USD",
            refund_key=f"r{amount_minor}",
            reason="asked for",
            work_id="work-3",
        )


async def test_a_bill_paid_twice_is_found_until_all_that_was_too_much_is_given_back(
    clean: Database,
) -> None:
    await attempt(clean, SECOND, "succeeded")
    async with clean.transaction() as connection:
        await post_transfers(connection, [payment("acc-1", transfer_key=f"payment:{SECOND}")])
    (finding,) = await audit(clean)
    assert "5970 captured of 2985" in finding.message
    await give_back(clean, 985)
    assert await checks(clean) == {"paid"}
    await give_back(clean, 2000)
    assert await audit(clean) == []


async def test_a_bill_that_was_paid_in_another_currency_is_not_paid(clean: Database) -> None:
    """A sum over currencies would call it paid, for the numbers are the same."""
    async with clean.transaction() as connection:
        await post_transfers(connection, [payment("acc-2", currency="EUR")])
        await connection.execute(
            text("UPDATE billing.bills SET state = 'paid' WHERE account_id = 'acc-2'")
        )
    assert {"paid", "money_bill", "payment_attempt"} == await checks(clean)


async def test_money_of_a_period_that_was_never_billed_is_found(clean: Database) -> None:
    async with clean.transaction() as connection:
        await post_transfers(connection, [payment("acc-2", period_start=date(2019, 1, 1))])
    assert "money_bill" in await checks(clean)


async def test_a_refund_whose_payment_was_reversed_is_found(clean: Database) -> None:
    await give_back(clean, 5)
    assert await audit(clean) == []
    async with clean.transaction() as connection:
        paid = await connection.scalar(
            text("SELECT transfer_id FROM billing.transfers WHERE kind = 'payment'")
        )
        await reverse(connection, paid or 0, "bounced", "work-3")
    assert "refunded" in await checks(clean)


async def bill_more(database: Database, start: date, end: date) -> None:
    async with database.transaction() as connection:
        (posted,) = await post_transfers(connection, [charge("acc-1", period_start=start)])
        await add_bill(connection, posted.transfer_id, period_end=end)


@pytest.mark.parametrize(("day", "anchor_day"), [("2025-02-28", 31), ("2024-02-29", 30)])
async def test_a_short_month_bills_on_its_last_day(
    clean: Database, day: str, anchor_day: int
) -> None:
    """R1."""
    async with clean.transaction() as connection:
        await connection.execute(
            text("""
                UPDATE billing.accounts SET rebilling_date = :day, anchor_day = :anchor
                WHERE tenant_id = 'bolt'
            """),
            {"day": date.fromisoformat(day), "anchor": anchor_day},
        )
    assert await audit(clean) == []


async def test_overlapping_periods_are_found_as_billed_twice(clean: Database) -> None:
    await bill_more(clean, date(2025, 1, 31), date(2025, 2, 27))
    assert "billed_twice" in await checks(clean)


async def test_a_second_charge_of_a_period_is_found_when_the_index_is_gone(
    clean: Database, superuser_database: Database
) -> None:
    async with tampering(superuser_database) as connection:
        await connection.execute(text("DROP INDEX billing.uq_transfers_charge_period"))
        await connection.execute(
            text("""
                INSERT INTO billing.transfers (tenant_id, transfer_key, kind, account_id,
                  period_start, debit_id, credit_id, amount_minor, currency, work_id)
                SELECT tenant_id, 'other', kind, account_id, period_start, debit_id, credit_id,
                  amount_minor, currency, work_id FROM billing.transfers
                WHERE kind = 'charge' AND account_id = 'acc-2'
            """)
        )
    assert "billed_twice" in await checks(clean)


async def test_a_skipped_period_is_a_warning(clean: Database) -> None:
    await bill_more(clean, date(2025, 3, 1), date(2025, 3, 31))
    findings = await audit(clean)
    assert {(f.check, f.severity) for f in findings} == {
        ("period_gap", "warning"),
        ("next_date", "warning"),
    }


async def test_periods_left_out_on_record_are_no_gap(clean: Database) -> None:
    async with clean.transaction() as connection:
        day = await connection.scalar(
            text("SELECT max(period_end) + 1 FROM billing.bills WHERE account_id = 'acc-1'")
        )
        left_out = NewRefusal("acc-1", day or date.max, "inactive_time")
        now = datetime(2025, 3, 1, tzinfo=UTC)
        await record(connection, "acme", [left_out], work_id="work-9", now=now)
        await advance(connection, "acme", {"acc-1": date(2025, 3, 1)}, now=now)
    assert await audit(clean) == []
    await bill_more(clean, date(2025, 3, 1), date(2025, 3, 31))
    assert await checks(clean) == {"next_date"}


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DROP TRIGGER transfers_no_truncate ON billing.transfers", "is missing"),
        ("ALTER TABLE billing.seals DISABLE TRIGGER seals_append_only", "not enabled always"),
        (
            "ALTER TABLE billing.transfers ENABLE TRIGGER transfers_append_only",
            "not enabled always",
        ),
        ("GRANT UPDATE ON billing.transfers TO billfleet_app", "may UPDATE"),
        ("GRANT UPDATE (amount_minor) ON billing.transfers TO billfleet_app", "may UPDATE"),
        ("GRANT DELETE ON billing.seals TO PUBLIC", "may DELETE"),
        ("ALTER TABLE billing.bills OWNER TO billfleet_app", "owns it"),
    ],
)
async def test_a_guard_that_was_taken_away_is_found(
    clean: Database, superuser_database: Database, statement: str, message: str
) -> None:
    """R37."""
    async with superuser_database.transaction() as connection:
        await connection.execute(text(statement))
    (finding,) = await audit(clean)
    assert message in finding.message


async def test_an_audit_of_one_tenant_leaves_the_others_out(
    clean: Database, superuser_database: Database
) -> None:
    async with tampering(superuser_database) as connection:
        await connection.execute(text("DELETE FROM billing.bills"))
    assert await audit(clean, "bolt") == []
    assert await audit(clean, "acme") != []
