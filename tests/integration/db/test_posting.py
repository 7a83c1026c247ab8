import asyncio
from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db import Database
from billfleet_db.errors import IntegrityRefused, LedgerRefused
from billfleet_db.ledger import (
    NewTransfer,
    account_entries,
    balance_of,
    ensure_ledger_accounts,
    post_transfers,
    refund,
    reverse,
    trial_balance,
)
from ledger_examples import ACCOUNTS, JANUARY, charge, payment

MARCH = date(2025, 3, 1)


async def test_a_batch_is_posted_once_and_the_second_time_answers_with_the_same_ids(
    company: Database,
) -> None:
    batch = [charge("acc-2"), charge("acc-1"), payment("acc-1")]
    async with company.transaction() as connection:
        first = await post_transfers(connection, batch)
    async with company.transaction() as connection:
        second = await post_transfers(connection, [*batch, charge("acc-3")])

    assert [row.transfer_key for row in first] == [row.transfer_key for row in batch]
    assert [row.is_new for row in first] == [True, True, True]
    assert [row.transfer_id for row in second[:3]] == [row.transfer_id for row in first]
    assert [row.is_new for row in second] == [False, False, False, True]
    assert all(row.agrees for row in second)


async def test_a_row_twice_in_one_batch_is_posted_once(company: Database) -> None:
    async with company.transaction() as connection:
        first, second = await post_transfers(connection, [charge(), charge()])

    assert first.transfer_id == second.transfer_id
    assert (first.is_new, second.is_new) == (True, False)


async def test_rows_are_posted_in_the_order_of_their_keys(company: Database) -> None:
    """R44: one order for everybody, whatever order they were asked for in."""
    async with company.transaction() as connection:
        late, early = await post_transfers(connection, [charge("acc-2"), charge("acc-1")])
    assert early.transfer_id < late.transfer_id


async def test_nothing_to_post_posts_nothing(company: Database) -> None:
    async with company.transaction() as connection:
        assert await post_transfers(connection, []) == []


async def test_a_period_is_charged_once_whatever_the_second_charge_is_called(
    company: Database,
) -> None:
    """R9: unique account and period, held by the database."""
    async with company.transaction() as connection:
        (first,) = await post_transfers(connection, [charge()])
        (second,) = await post_transfers(connection, [charge(transfer_key="other", amount_minor=1)])

    assert not second.is_new
    assert not second.agrees
    assert second.transfer_id == first.transfer_id


async def test_workers_sharing_no_lock_charge_a_period_once(company: Database) -> None:
    """R9, R44: many writers of the same rows in opposite orders, and no deadlock."""
    forwards = [charge(a, period_start=date(2025, m, 1)) for a in ACCOUNTS for m in range(1, 13)]

    async def post(batch: list[NewTransfer]) -> int:
        async with company.transaction() as connection:
            posted = await post_transfers(connection, batch)
            return sum(row.is_new for row in posted)

    new = await asyncio.gather(*(post(forwards[:: 1 if n % 2 else -1]) for n in range(6)))

    assert sum(new) == len(forwards)


async def test_the_database_refuses_a_second_charge_that_goes_around_the_posting(
    company: Database,
) -> None:
    """R9: the refusal names its rule."""
    async with company.transaction() as connection:
        await post_transfers(connection, [charge()])
    with pytest.raises(IntegrityRefused) as refused:
        async with company.transaction() as connection:
            await connection.execute(
                text("""
                    INSERT INTO billing.transfers (tenant_id, transfer_key, kind, account_id,
                      period_start, debit_id, credit_id, amount_minor, currency, work_id)
                    SELECT tenant_id, 'other', kind, account_id, period_start, debit_id, credit_id,
                      amount_minor, currency, work_id FROM billing.transfers
                """)
            )
    assert refused.value.constraint == "uq_transfers_charge_period"


async def test_a_key_used_for_something_else_is_reported_as_disagreeing(company: Database) -> None:
    """R43: a key is burnt by its first use."""
    async with company.transaction() as connection:
        await post_transfers(connection, [payment()])
        (again,) = await post_transfers(connection, [replace(payment(), amount_minor=1)])

    assert (again.is_new, again.agrees) == (False, False)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("currency = 'EUR'", "fk_transfers_"),
        ("tenant_id = 'bolt'", "fk_transfers_"),
        ("debit_id = credit_id", "ck_transfers_sides"),
        ("amount_minor = -1", "ck_transfers_amount_minor"),
        ("kind = 'gift'", "ck_transfers_kind"),
        ("kind = 'reversal'", "ck_transfers_reverses"),
        ("account_id = 'nobody'", "fk_transfers_accounts"),
        ("work_id = NULL", "not_null_work_id"),
    ],
)
async def test_a_row_that_would_not_balance_is_refused_by_name(
    company: Database, change: str, constraint: str
) -> None:
    """R38: both sides have the row's tenant and currency, so every row balances by itself."""
    async with company.transaction() as connection:
        await post_transfers(connection, [payment()])
    column, value = change.split(" = ")
    columns = {
        "tenant_id": "tenant_id",
        "transfer_key": "'other'",
        "kind": "kind",
        "account_id": "account_id",
        "period_start": "period_start",
        "debit_id": "debit_id",
        "credit_id": "credit_id",
        "amount_minor": "amount_minor",
        "currency": "currency",
        "work_id": "work_id",
    } | {column: value}
    with pytest.raises(IntegrityRefused) as refused:
        async with company.transaction() as connection:
            await connection.execute(
                text(
                    f"INSERT INTO billing.transfers ({', '.join(columns)}) "
                    f"SELECT {', '.join(columns.values())} FROM billing.transfers"
                )
            )
    assert refused.value.constraint.startswith(constraint)


async def test_an_unknown_account_is_refused_by_name(company: Database) -> None:
    with pytest.raises(IntegrityRefused) as refused:
        async with company.transaction() as connection:
            await post_transfers(connection, [charge("nobody")])
    assert refused.value.constraint == "fk_ledger_accounts_accounts"


async def test_sides_are_created_once_for_writers_at_the_same_time(company: Database) -> None:
    async def ensure(ids: tuple[str, ...]) -> object:
        async with company.transaction() as connection:
            return await ensure_ledger_accounts(connection, "acme", "USD", ids)

    found = await asyncio.gather(*(ensure(ACCOUNTS[:: 1 if n % 2 else -1]) for n in range(4)))

    assert all(sides == found[0] for sides in found)


async def test_balances_follow_from_charge_payment_reversal_and_refund(company: Database) -> None:
    """R39: figures are sums of the rows, for every account and in all."""
    async with company.transaction() as connection:
        _, paid = await post_transfers(connection, [charge(), payment()])
        assert await balance_of(connection, "acme", "acc-1") == {"USD": 0}
        await reverse(connection, paid.transfer_id, "bounced", "work-2")
        assert await balance_of(connection, "acme", "acc-1") == {"USD": 2985}
        await post_transfers(connection, [payment(transfer_key="payment:2"), charge("acc-2", 15)])
        await give_back(connection, 985)
        rows = await trial_balance(connection, "acme")
        entries = await account_entries(connection, "acme", "acc-1")

    by_kind = {row.kind: row.debit_minor - row.credit_minor for row in rows}
    assert by_kind == {"cash": 2000, "receivable": 15, "revenue": -2015}
    assert sum(entry.owed_change_minor for entry in entries) == 0
    assert [entry.kind for entry in entries] == [
        *("charge", "payment", "reversal", "payment", "refund")
    ]


async def test_random_postings_at_once_leave_the_books_balanced(company: Database) -> None:
    """R39: after any interleaving, the total is what the accounts add up to."""

    async def work(n: int) -> None:
        account = ACCOUNTS[n % 3]
        month = date(2025, 1 + n % 12, 1)
        async with company.transaction() as connection:
            _, paid = await post_transfers(
                connection,
                [
                    charge(account, 100 + n % 12, period_start=month),
                    payment(account, 100 + n % 12, period_start=month, transfer_key=f"p:{n % 24}"),
                ],
            )
            if n % 5 == 0:
                await reverse(connection, paid.transfer_id, "bounced", f"work-{n % 24}")

    await asyncio.gather(*(work(n) for n in range(48)), return_exceptions=True)
    async with company.transaction() as connection:
        rows = await trial_balance(connection)
        owed = [await balance_of(connection, "acme", account) for account in ACCOUNTS]

    receivable = next(row for row in rows if row.kind == "receivable")
    assert sum(row.debit_minor for row in rows) == sum(row.credit_minor for row in rows)
    assert receivable.debit_minor - receivable.credit_minor == sum(o["USD"] for o in owed)


async def test_entries_are_read_page_by_page(company: Database) -> None:
    async with company.transaction() as connection:
        posted = await post_transfers(
            connection, [charge(period_start=date(2025, m, 1)) for m in range(1, 6)]
        )
        first = await account_entries(connection, "acme", "acc-1", limit=3)
        rest = await account_entries(
            connection, "acme", "acc-1", after=first[-1].transfer_id, limit=3
        )
        other = await account_entries(connection, "bolt", "acc-1")

    assert [e.transfer_id for e in first + rest] == [row.transfer_id for row in posted]
    assert other == []


async def test_a_transfer_is_reversed_once_and_the_same_work_gets_the_same_answer(
    company: Database,
) -> None:
    """R41: reverting twice is refused."""
    async with company.transaction() as connection:
        (paid,) = await post_transfers(connection, [payment()])
        first = await reverse(connection, paid.transfer_id, "bounced", "work-2")
        again = await reverse(connection, paid.transfer_id, "bounced", "work-2")
    assert (first.is_new, again.is_new) == (True, False)
    assert first.transfer_id == again.transfer_id

    with pytest.raises(LedgerRefused, match="already reversed") as refused:
        async with company.transaction() as connection:
            await reverse(connection, paid.transfer_id, "bounced", "work-3")
    assert refused.value.constraint == "uq_transfers_reverses"


async def test_a_corrected_correction_is_a_reversal_of_the_reversal(company: Database) -> None:
    """R31 needs it: succeeded, then failed, then succeeded after all."""
    async with company.transaction() as connection:
        _, paid = await post_transfers(connection, [charge(), payment()])
        bounced = await reverse(connection, paid.transfer_id, "bounced", "work-2")
        await reverse(connection, bounced.transfer_id, "paid after all", "work-3")
        assert await balance_of(connection, "acme", "acc-1") == {"USD": 0}


async def test_twenty_reversals_at_once_make_one(company: Database) -> None:
    """R41."""
    async with company.transaction() as connection:
        (paid,) = await post_transfers(connection, [payment()])

    async def attempt(n: int) -> None:
        async with company.transaction() as connection:
            await reverse(connection, paid.transfer_id, "bounced", f"work-{n}")

    results = await asyncio.gather(*(attempt(n) for n in range(20)), return_exceptions=True)

    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, LedgerRefused) for result in results) == 19


async def test_reversing_nothing_is_refused(company: Database) -> None:
    with pytest.raises(LedgerRefused, match="does not exist"):
        async with company.transaction() as connection:
            await reverse(connection, 4711, "bounced", "work-2")


async def give_back(connection: AsyncConnection, amount_minor: int, key: str = "r-1") -> bool:
    posted = await refund(
        connection,
        tenant_id="acme",
        account_id="acc-1",
        period_start=JANUARY,
        amount_minor=amount_minor,
        currency="USD",
        refund_key=key,
        reason="asked for",
        work_id="work-9",
    )
    return posted.is_new


async def test_two_refunds_of_everything_at_once_and_one_wins(company: Database) -> None:
    """R41: enforced under the account's lock."""
    async with company.transaction() as connection:
        await post_transfers(connection, [charge(), payment()])

    async def attempt(key: str) -> bool:
        async with company.transaction() as connection:
            return await give_back(connection, 2985, key)

    results = await asyncio.gather(*(attempt(f"r-{n}") for n in range(5)), return_exceptions=True)

    assert results.count(True) == 1
    refused = [result for result in results if isinstance(result, LedgerRefused)]
    assert len(refused) == 4
    assert refused[0].constraint == "refund_within_captured"


async def test_a_refund_waits_for_the_one_before_it_and_then_counts_it(
    company: Database, superuser_database: Database
) -> None:
    """R41: the second refund cannot count before the first has committed."""
    async with company.transaction() as connection:
        await post_transfers(connection, [charge(), payment()])

    async def attempt() -> bool:
        async with company.transaction() as connection:
            return await give_back(connection, 2985, "r-2")

    async def is_waiting() -> bool:
        async with superuser_database.transaction() as connection:
            return bool(
                await connection.scalar(
                    text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
                )
            )

    async with company.transaction() as first:
        assert await give_back(first, 2985, "r-1")
        second = asyncio.create_task(attempt())
        while not second.done() and not await is_waiting():
            pass
    with pytest.raises(LedgerRefused):
        await second


async def test_partial_refunds_add_up_to_what_was_captured(company: Database) -> None:
    """R41."""
    async with company.transaction() as connection:
        await post_transfers(connection, [charge(), payment()])
        assert await give_back(connection, 2000, "r-1")
        with pytest.raises(LedgerRefused, match="more than the 985"):
            await give_back(connection, 986, "r-2")
        assert await give_back(connection, 985, "r-3")


async def test_a_refund_asked_for_again_is_the_same_refund(company: Database) -> None:
    """R43."""
    async with company.transaction() as connection:
        await post_transfers(connection, [charge(), payment()])
        assert await give_back(connection, 2985)
        assert not await give_back(connection, 2985)
        with pytest.raises(LedgerRefused, match="another refund"):
            await give_back(connection, 1)


async def test_a_reversed_payment_leaves_nothing_to_refund(company: Database) -> None:
    """R41."""
    async with company.transaction() as connection:
        _, paid = await post_transfers(connection, [charge(), payment()])
        await reverse(connection, paid.transfer_id, "bounced", "work-2")
        with pytest.raises(LedgerRefused):
            await give_back(connection, 1)


@pytest.mark.parametrize("amount_minor", [0, -5])
async def test_a_refund_of_nothing_is_refused(company: Database, amount_minor: int) -> None:
    with pytest.raises(LedgerRefused, match="moves nothing"):
        async with company.transaction() as connection:
            await give_back(connection, amount_minor)
