import asyncio
import csv
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import text

from billfleet_db import Database, accounts, bills, importing
from billfleet_ops.account_columns import parse_row
from billfleet_ops.csv_import import ImportReport, ImportRequest, import_accounts
from billfleet_ops.errors import ConfigurationWrong, Refused, UsageWrong

HEADER = "account_id,name,email,amount,currency,rebilling_date,time_zone,plan,payment_method"
ANN = "A-1,Ann,ann@example.org,29.85,USD,2026-01-31,America/New_York,,tok_1"
BOB = "B-2,Bob,,0,USD,2026-02-01,Asia/Tokyo,,"
CAT = "C-3,Cat,,1500,JPY,2026-02-01,Asia/Tokyo,,"


class Importer:
    """Writes files into a folder and imports them for the tenant `acme`."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.path = folder / "accounts.csv"

    async def __call__(self, *rows: str, header: str = HEADER, **options: object) -> ImportReport:
        self.path.write_text("\n".join((header, *rows)) + "\n")
        request = ImportRequest(path=self.path, **{"tenant": "acme", **options})  # type: ignore[arg-type]  # the tests name them
        return await import_accounts(self.database, request)

    async def account(self, account_id: str) -> accounts.Account:
        async with self.database.transaction() as connection:
            found = await accounts.get(connection, "acme", account_id)
        assert found is not None
        return found

    async def count(self, table: str = "billing.accounts") -> int:
        async with self.database.transaction() as connection:
            counted = await connection.scalar(text(f"SELECT count(*) FROM {table}"))
        return int(counted or 0)

    async def bill(self, account_id: str, next_on: date) -> None:
        """What a worker leaves behind: a charge, its bill, and the next date."""
        async with self.database.transaction() as connection:
            await connection.execute(
                text(
                    "WITH side AS (INSERT INTO billing.ledger_accounts"
                    " (tenant_id, kind, account_id, currency) VALUES"
                    " ('acme', 'receivable', :account, 'USD'), ('acme', 'revenue', NULL, 'USD')"
                    " RETURNING ledger_account_id, kind), posted AS ("
                    " INSERT INTO billing.transfers (tenant_id, transfer_key, kind, account_id,"
                    "  period_start, debit_id, credit_id, amount_minor, currency, work_id)"
                    " SELECT 'acme', 'charge', 'charge', :account, '2026-01-31',"
                    "  d.ledger_account_id, c.ledger_account_id, 2985, 'USD', 'work'"
                    " FROM side d, side c"
                    " WHERE d.kind = 'receivable' AND c.kind = 'revenue' RETURNING transfer_id)"
                    " INSERT INTO billing.bills (tenant_id, account_id, period_start, period_end,"
                    "  amount_minor, currency, charge_transfer_id)"
                    " SELECT 'acme', :account, '2026-01-31', '2026-02-27', 2985, 'USD', transfer_id"
                    " FROM posted"
                ).bindparams(account=account_id)
            )
            await connection.execute(
                text("UPDATE billing.accounts SET rebilling_date = :on WHERE account_id = :id"),
                {"on": next_on, "id": account_id},
            )


@pytest.fixture
def importer(database: Database, tmp_path: Path) -> Importer:
    return Importer(database, tmp_path)


async def test_good_rows_become_tenant_customers_and_accounts(importer: Importer) -> None:
    report = await importer(ANN, BOB, CAT)
    assert report.is_committed
    assert report.taken_over.inserted == 3
    assert report.taken_over.is_new_tenant
    ann = await importer.account("A-1")
    assert (ann.amount_minor, ann.currency, ann.anchor_day) == (2985, "USD", 31)
    assert (ann.time_zone, ann.rebilling_date) == ("America/New_York", date(2026, 1, 31))
    assert (await importer.account("C-3")).amount_minor == 1500
    assert await importer.count("customer.customers") == 3


async def test_one_bad_row_keeps_all_rows_out_and_all_bad_rows_are_reported(
    importer: Importer,
) -> None:
    report = await importer(
        ANN, "B-2,,,x,USD,2026-02-30,UTC,,", "A-1,,,1,USD,2026-01-01,UTC,,", "D,,"
    )
    assert not report.is_committed
    assert report.is_refused
    assert [(bad.line, bad.column) for bad in report.bad_rows] == [
        (3, "amount"),
        (3, "rebilling_date"),
        (4, "account_id"),
        (5, "(row)"),
    ]
    assert "on line 2 already" in report.bad_rows[2].reason
    assert await importer.count() == 0
    assert await importer.count("business.tenants") == 0


async def test_skipping_bad_rows_imports_the_good_and_writes_the_bad_with_reasons(
    importer: Importer,
) -> None:
    report = await importer(ANN, "B-2,Bob,,x,USD,2026-02-01,UTC,,", "D,,", skips_bad_rows=True)
    assert report.is_committed
    assert (report.rows, report.taken_over.inserted) == (3, 1)
    assert report.rejected_path is not None
    with report.rejected_path.open(newline="") as stream:
        rejected = list(csv.DictReader(stream))
    assert [row["rejected_line"] for row in rejected] == ["3", "4"]
    assert rejected[0]["account_id"] == "B-2"
    assert "not an amount" in rejected[0]["rejected_because"]


async def test_repaired_rejected_rows_import_as_they_are(importer: Importer) -> None:
    report = await importer(ANN, "B-2,Bob,,x,USD,2026-02-01,UTC,,", skips_bad_rows=True)
    assert report.rejected_path is not None
    repaired = report.rejected_path.read_text().replace(",x,", ",5,")
    header, row = repaired.splitlines()
    assert (await importer(row, header=header)).taken_over.inserted == 1


async def test_rejected_rows_never_overwrite_a_file_that_is_being_repaired(
    importer: Importer,
) -> None:
    importer.path.with_suffix(".rejected.csv").write_text("half repaired")
    with pytest.raises(Refused):
        await importer(ANN, skips_bad_rows=True)
    assert await importer.count() == 0


async def test_importing_the_same_file_again_changes_nothing(importer: Importer) -> None:
    await importer(ANN, BOB)
    report = await importer(ANN, BOB)
    assert report.is_committed
    assert (report.taken_over.inserted, report.taken_over.unchanged) == (0, 2)


async def test_a_changed_account_is_refused_without_update_and_taken_over_with_it(
    importer: Importer,
) -> None:
    """R35: another payment method is another version of it."""
    await importer(ANN)
    changed = ANN.replace("29.85", "31.00").replace("tok_1", "tok_2").replace("Ann", "Anna")
    refused = await importer(changed)
    assert not refused.is_committed
    assert refused.bad_rows[0].line == 2
    assert "amount, payment_method, name" in refused.bad_rows[0].reason
    assert (await importer.account("A-1")).amount_minor == 2985
    taken = await importer(changed, updates=True)
    assert taken.taken_over.updated == 1
    ann = await importer.account("A-1")
    assert (ann.amount_minor, ann.payment_method) == (3100, "tok_2")
    assert ann.payment_method_version == 2
    assert ann.generation == 0


async def test_a_new_payment_method_sets_the_bills_going_that_wait_for_one(
    importer: Importer,
) -> None:
    """R35: without it a bill that was refused for good would never be tried again."""
    await importer(ANN)
    await importer.bill("A-1", date(2026, 2, 28))
    stopped = "UPDATE billing.bills SET collection_note = 'hard_decline', next_attempt_at = NULL"
    async with importer.database.transaction() as connection:
        await connection.execute(text(stopped))
    await importer(ANN.replace("29.85", "31.00"), updates=True)
    async with importer.database.transaction() as connection:
        [bill] = await bills.of_account(connection, "acme", "A-1")
    assert bill.collection_note == "hard_decline"
    await importer(ANN.replace("29.85", "31.00").replace("tok_1", "tok_2"), updates=True)
    async with importer.database.transaction() as connection:
        [bill] = await bills.of_account(connection, "acme", "A-1")
    assert bill.collection_note is None
    assert bill.next_attempt_at is not None


async def test_columns_that_the_file_does_not_have_are_left_alone(importer: Importer) -> None:
    await importer(ANN)
    header = "account_id,amount,currency,rebilling_date"
    report = await importer("A-1,29.85,USD,2026-01-31", header=header, updates=True)
    assert report.taken_over.unchanged == 1
    ann = await importer.account("A-1")
    assert (ann.payment_method, ann.time_zone) == ("tok_1", "America/New_York")


async def test_an_unbilled_account_can_be_given_another_schedule_as_a_new_generation(
    importer: Importer,
) -> None:
    """R11: messages that were sent for the old schedule are stale."""
    await importer(ANN)
    await importer(ANN.replace("2026-01-31", "2026-02-15"), updates=True)
    ann = await importer.account("A-1")
    assert (ann.rebilling_date, ann.anchor_day) == (date(2026, 2, 15), 15)
    assert ann.generation == 1


async def test_the_schedule_of_a_billed_account_is_never_put_back(importer: Importer) -> None:
    await importer(ANN)
    await importer.bill("A-1", date(2026, 2, 28))
    for updates in (False, True):
        report = await importer(ANN, updates=updates)
        assert report.is_committed
        assert (report.taken_over.unchanged, report.taken_over.kept) == (1, 1)
    ann = await importer.account("A-1")
    assert (ann.rebilling_date, ann.generation) == (date(2026, 2, 28), 0)


async def test_the_anchor_of_a_billed_account_is_fixed_even_for_update(importer: Importer) -> None:
    """R1: dates come from the anchor, so it can't change under them."""
    await importer(ANN)
    await importer.bill("A-1", date(2026, 2, 28))
    header = "account_id,amount,currency,rebilling_date,anchor_day"
    row = "A-1,29.85,USD,2026-03-15,15"
    report = await importer(row, header=header, updates=True)
    assert not report.is_committed
    assert [bad.column for bad in report.bad_rows] == ["anchor_day"]


async def test_a_schedule_is_not_put_back_when_the_account_is_billed_during_the_import(
    importer: Importer, database: Database
) -> None:
    await importer(ANN)
    provided = {"account_id", "rebilling_date"}
    moved = parse_row(
        2,
        {
            "account_id": "A-1",
            "amount": "29.85",
            "currency": "USD",
            "rebilling_date": "2026-01-15",
        },
    )
    assert isinstance(moved, importing.StagedAccount)
    async with database.transaction() as connection:
        await importing.open_staging(connection, "acme")
        await importing.stage(connection, [moved])
        assert await importing.compare(connection, "acme", provided, may_update=True) == []
        await importer.bill("A-1", date(2026, 2, 28))
        await importing.take_over(connection, "acme", provided)
    ann = await importer.account("A-1")
    assert (ann.rebilling_date, ann.anchor_day, ann.generation) == (date(2026, 2, 28), 31, 0)


async def test_rejected_rows_that_have_nowhere_to_go_keep_everything_out(
    importer: Importer, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationWrong):
        await importer(
            ANN, "x", skips_bad_rows=True, rejected_path=tmp_path / "none" / "rejected.csv"
        )
    assert await importer.count() == 0


async def test_a_dry_run_says_what_would_happen_and_keeps_nothing(importer: Importer) -> None:
    report = await importer(ANN, BOB, is_dry_run=True)
    assert not report.is_committed
    assert report.taken_over.inserted == 2
    assert await importer.count() == 0


async def test_a_new_plan_is_created_and_a_known_one_gives_amount_and_interval(
    importer: Importer,
) -> None:
    header = "account_id,plan,amount,currency,interval_months,rebilling_date"
    await importer("A-1,gold,120.00,USD,12,2026-01-31", header=header)
    report = await importer("B-2,gold,,USD,,2026-01-31", header=header)
    assert report.taken_over.plans_created == 0
    bob = await importer.account("B-2")
    assert (bob.amount_minor, bob.interval_months, bob.plan_id) == (12000, 12, "gold")


PLANS = "account_id,plan,amount,currency,interval_months,rebilling_date"
MOVES = "account_id,plan,currency,rebilling_date"


async def test_an_account_that_moves_to_another_plan_is_charged_what_that_plan_says(
    importer: Importer,
) -> None:
    """12000 cents would be 12000 yen, and a price a year would be charged every month."""
    await importer("A-1,gold,120.00,USD,12,2026-01-31", "B-2,sakura,1500,JPY,1,2026-01-31",
                   header=PLANS)  # fmt: skip
    report = await importer("A-1,sakura,JPY,2026-01-31", header=MOVES, updates=True)
    assert report.taken_over.updated == 1
    ann = await importer.account("A-1")
    assert (ann.plan_id, ann.currency) == ("sakura", "JPY")
    assert (ann.amount_minor, ann.interval_months) == (1500, 1)


async def test_an_account_that_stays_with_its_plan_keeps_the_price_that_it_was_given(
    importer: Importer,
) -> None:
    await importer("A-1,gold,120.00,USD,12,2026-01-31", "B-2,gold,99.00,USD,6,2026-01-31",
                   header=PLANS)  # fmt: skip
    report = await importer("B-2,gold,USD,2026-01-31", header=MOVES, updates=True)
    assert (report.taken_over.updated, report.taken_over.unchanged) == (0, 1)
    bob = await importer.account("B-2")
    assert (bob.amount_minor, bob.interval_months) == (9900, 6)


@pytest.mark.parametrize("plan", ["", "new"])
async def test_an_account_keeps_its_interval_where_neither_file_nor_plan_says_another(
    importer: Importer, plan: str
) -> None:
    await importer("A-1,,120.00,USD,12,2026-01-31", header=PLANS)
    header = "account_id,plan,amount,currency,rebilling_date"
    report = await importer(f"A-1,{plan},130.00,USD,2026-01-31", header=header, updates=True)
    assert report.taken_over.updated == 1
    ann = await importer.account("A-1")
    assert (ann.amount_minor, ann.interval_months) == (13000, 12)


async def test_an_amount_left_to_a_plan_that_has_none_is_a_bad_row(importer: Importer) -> None:
    header = "account_id,plan,amount,currency,rebilling_date"
    report = await importer("A-1,gold,,USD,2026-01-31", header=header)
    assert [(bad.column, bad.line) for bad in report.bad_rows] == [("amount", 2)]


async def test_a_mistyped_tenant_is_refused_and_a_new_one_created_when_asked(
    importer: Importer,
) -> None:
    await importer(ANN)
    with pytest.raises(Refused) as refusal:
        await importer(ANN, tenant="acmee")
    assert "'acme'" in refusal.value.remedy
    report = await importer(ANN, tenant="acmee", creates_tenant=True)
    assert report.taken_over.is_new_tenant


async def test_a_tenant_id_that_cannot_be_is_refused(importer: Importer) -> None:
    with pytest.raises(UsageWrong):
        await importer(ANN, tenant="Acme Inc")


async def test_two_imports_of_one_file_at_once_create_each_account_once(
    importer: Importer,
) -> None:
    reports = await asyncio.gather(importer(ANN, BOB), importer(ANN, BOB))
    assert sorted(report.taken_over.inserted for report in reports) == [0, 2]
    assert sorted(report.taken_over.unchanged for report in reports) == [0, 2]


async def test_a_file_longer_than_a_batch_is_streamed_with_progress(
    importer: Importer, database: Database
) -> None:
    rows = [f"A-{number},,,1.00,USD,2026-01-31,UTC,," for number in range(12_000)]
    importer.path.write_text("\n".join([HEADER, *rows]))
    seen: list[tuple[int, float]] = []
    request = ImportRequest(path=importer.path, tenant="acme")
    report = await import_accounts(database, request, lambda *step: seen.append(step))
    assert report.taken_over.inserted == 12_000
    assert [count for count, _ in seen] == [5000, 10_000, 12_000]
    assert seen[-1][1] == 1.0


async def test_only_the_header_imports_nothing_and_creates_no_tenant(importer: Importer) -> None:
    report = await importer()
    assert (report.rows, report.is_committed) == (0, True)
    assert await importer.count("business.tenants") == 0
