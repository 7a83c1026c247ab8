"""The account and ledger commands as typed, against a real PostgreSQL."""

import asyncio
import json
from collections.abc import Coroutine
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import pytest

from billfleet_db import Database
from billfleet_db.audit_sql import BOOKS, GUARDS
from billfleet_ops.cli import run
from billfleet_ops.exits import Exit
from billfleet_ops.ledger_views import remedy_of
from rebill_world import execute, handle

T = TypeVar("T")
JANUARY = date(2026, 1, 31)
HEADER = "account_id,amount,currency,rebilling_date,time_zone"


class Terminal:
    """Types commands, and says what they printed and how they ended."""

    def __init__(self, url: str, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._url = url
        self._capture = capture
        self.errors = ""

    def type(self, *words: str, ends: Exit = Exit.OK) -> str:
        code = run(words)
        shown = self._capture.readouterr()
        self.errors = shown.err
        assert code == ends, shown.out + shown.err
        return shown.out

    def read_json(self, *words: str, ends: Exit = Exit.OK) -> Any:
        return json.loads(self.type(*words, "--json", ends=ends))

    def import_rows(self, *rows: str) -> None:
        path = self.folder / "accounts.csv"
        path.write_text("\n".join((HEADER, *rows)))
        self.type("accounts", "import", str(path), "--tenant", "acme")

    def do(self, work: "Coroutine[Any, Any, T]") -> T:
        return asyncio.run(work)

    async def bill(self, account: str, period: date) -> None:
        """One message, handled as a worker does."""
        database = Database.connect(self._url, pool_size=1)
        await handle(database, (account, period))
        await database.close()

    async def execute(self, statement: str) -> None:
        database = Database.connect(self._url, pool_size=1)
        await execute(database, statement)
        await database.close()


@pytest.fixture
def terminal(
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Terminal:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("BILLFLEET_HOME", str(tmp_path / "home"))
    found = Terminal(database_url, tmp_path, capsys)
    found.import_rows("A-1,29.85,USD,2026-01-31,America/New_York", "B-2,5,USD,2026-01-31,UTC")
    return found


def test_import_prints_what_it_did_and_json_says_the_same(terminal: Terminal) -> None:
    path = terminal.folder / "more.csv"
    path.write_text(f"{HEADER},colour\nC-3,1.00,USD,2026-01-31,UTC,red\n")
    words = ("accounts", "import", str(path), "--tenant", "acme")
    dry = terminal.type(*words, "--dry-run")
    assert "1 would be imported" in dry
    assert "Columns that were not read: colour" in dry
    told = terminal.read_json(*words)
    assert (told["inserted"], told["is_committed"], told["problems"]) == (1, True, [])
    assert "1 unchanged" in terminal.type(*words)


def test_bad_rows_end_with_one_and_are_shown_by_line_and_column(terminal: Terminal) -> None:
    path = terminal.folder / "bad.csv"
    path.write_text(f"{HEADER}\nC-3,x,USD,2026-01-31,UTC\nD-4,1,USD,2026-01-31,UTC\n")
    words = ("accounts", "import", str(path), "--tenant", "acme")
    shown = terminal.type(*words, ends=Exit.FAILED)
    assert "1 of 2 rows are bad" in shown
    assert "'x' is not an amount" in shown
    assert "Nothing was imported" in shown
    told = terminal.read_json(*words, ends=Exit.FAILED)
    assert [(bad["line"], bad["column"]) for bad in told["problems"]] == [(2, "amount")]
    skipped = terminal.type(*words, "--skip-bad-rows")
    assert "1 imported" in skipped
    assert "bad.rejected.csv" in skipped


def test_many_bad_rows_are_counted_and_the_first_shown(terminal: Terminal) -> None:
    path = terminal.folder / "bad.csv"
    path.write_text("\n".join([HEADER, *["!,x,USD,2026-01-31,UTC"] * 50]))
    shown = terminal.type("accounts", "import", str(path), "--tenant", "acme", ends=Exit.FAILED)
    assert "50 of 50 rows are bad" in shown
    assert "… and 80 more" in shown


def test_a_file_that_is_not_there_ends_with_configuration(terminal: Terminal) -> None:
    terminal.type("accounts", "import", "none.csv", "--tenant", "acme", ends=Exit.CONFIGURATION)
    assert "no such file" in terminal.errors


def test_their_columns_are_mapped_and_constants_set(terminal: Terminal) -> None:
    path = terminal.folder / "theirs.csv"
    path.write_text("customer_id,monthly_charges,contract\nT-1,9.99,Two year\n")
    terminal.type("accounts", "import", str(path), "--tenant", "acme", ends=Exit.USAGE)
    assert "--map amount=monthly_charges" in terminal.errors
    terminal.type(
        *("accounts", "import", str(path), "--tenant", "acme"),
        *("--map", "account_id=customer_id", "--map", "amount=monthly_charges"),
        *("--map", "commitment_months=contract"),
        *("--set", "currency=USD", "--set", "rebilling_date=2026-01-31"),
    )
    shown = terminal.read_json("accounts", "show", "T-1", "--tenant", "acme")
    assert shown["account"]["commitment_months"] == 24
    assert shown["account"]["interval_months"] == 1


def test_show_tells_price_next_period_and_bills(terminal: Terminal) -> None:
    assert "No period has been billed yet" in terminal.type(
        "accounts", "show", "A-1", "--tenant", "acme"
    )
    terminal.do(terminal.bill("A-1", JANUARY))
    shown = terminal.type("accounts", "show", "A-1", "--tenant", "acme")
    assert "29.85 USD" in shown
    assert "2026-02-28 (America/New_York)" in shown
    assert "The last of 1 bills" in shown


def test_an_unknown_account_or_tenant_is_a_usage_error_with_near_matches(
    terminal: Terminal,
) -> None:
    for command in (("accounts", "show"), ("accounts", "why"), ("accounts", "unpark")):
        terminal.type(*command, "A-2", "--tenant", "acme", ends=Exit.USAGE)
        assert "Did you mean" in terminal.errors
    terminal.type("ledger", "show", "A-2", "--tenant", "acme", ends=Exit.USAGE)
    assert "A-1" in terminal.errors
    terminal.type("accounts", "show", "A-1", "--tenant", "acne", ends=Exit.USAGE)
    assert "Did you mean acme?" in terminal.errors


def test_why_tells_a_billed_period_with_its_message_ledger_row_and_event(
    terminal: Terminal,
) -> None:
    terminal.do(terminal.bill("A-1", JANUARY))
    told = terminal.read_json("accounts", "why", "A-1", "--tenant", "acme", "--as-of", "2026-02-01")
    billed, ahead = told["periods"]
    assert (billed["verdict"], billed["bill_state"]) == ("billed", "open")
    assert (billed["period_start"], billed["period_end"]) == ("2026-01-31", "2026-02-27")
    words = " ".join(billed["sentences"])
    assert f"by message {billed['message_id']} (transfer {billed['transfer_id']})" in words
    assert "Event account_rebilled waits in the outbox" in words
    assert "Event collect_payments waits in the outbox" in words
    assert (ahead["period_start"], ahead["verdict"]) == ("2026-02-28", "not_due")
    shown = terminal.type("accounts", "why", "A-1", "--tenant", "acme", "--as-of", "2026-02-01")
    assert "It owes 29.85 USD." in shown


def test_park_and_unpark_are_explicit_and_unparking_is_a_new_generation(
    terminal: Terminal,
) -> None:
    """R12: nothing is billed while parked, and a new message differs from the refused one."""
    terminal.type("accounts", "park", "A-1", "--tenant", "acme", "--reason", "disputed")
    again = terminal.type("accounts", "park", "A-1", "--tenant", "acme", "--reason", "other")
    assert "parked already" in again
    terminal.do(terminal.bill("A-1", JANUARY))
    words = terminal.type("accounts", "why", "A-1", "--tenant", "acme", "--as-of", "2026-02-01")
    assert "disputed" in words
    assert "A worker refused to bill it" in words
    assert "is unparked" in terminal.type("accounts", "unpark", "A-1", "--tenant", "acme")
    assert "is not parked" in terminal.type("accounts", "unpark", "A-1", "--tenant", "acme")
    account = terminal.read_json("accounts", "show", "A-1", "--tenant", "acme")["account"]
    assert (account["generation"], account["parked_at"]) == (1, None)


def test_ledger_show_tells_entries_with_what_is_owed_and_a_trial_balance(
    terminal: Terminal,
) -> None:
    assert "Nothing has been posted" in terminal.type("ledger", "show", "--tenant", "acme")
    terminal.do(terminal.bill("A-1", JANUARY))
    terminal.do(terminal.bill("A-1", date(2026, 2, 28)))
    entries = terminal.read_json("ledger", "show", "A-1", "--tenant", "acme")
    assert [entry["owed_minor"] for entry in entries] == [2985, 5970]
    assert "59.70 USD" in terminal.type("ledger", "show", "A-1", "--tenant", "acme")
    [sums] = terminal.read_json("ledger", "show", "--tenant", "acme")["sums"]
    assert (sums["debit_minor"], sums["balances"]) == (5970, True)
    assert "0.00 USD" in terminal.type("ledger", "show", "--tenant", "acme")


def test_ledger_verify_ends_with_zero_when_right_and_one_with_remedies_when_not(
    terminal: Terminal,
) -> None:
    terminal.do(terminal.bill("A-1", JANUARY))
    assert "nothing was found" in terminal.type("ledger", "verify", "--tenant", "acme")
    terminal.do(terminal.execute("UPDATE billing.bills SET state = 'paid', paid_at = now()"))
    shown = terminal.type("ledger", "verify", ends=Exit.FAILED)
    assert "1 findings" in shown
    [finding] = terminal.read_json("ledger", "verify", ends=Exit.FAILED)["findings"]
    assert finding["check"] == "paid"
    assert finding["tenant_id"] == "acme"
    assert "gateway" in finding["remedy"]
    terminal.type("ledger", "verify", "--tenant", "acne", ends=Exit.USAGE)


def test_ledger_seal_prints_hashes_to_keep_and_has_nothing_to_do_twice(
    terminal: Terminal,
) -> None:
    """R40: the chain is only as good as a hash that is kept elsewhere."""
    terminal.do(terminal.bill("A-1", JANUARY))
    [seal] = terminal.read_json("ledger", "seal", "--tenant", "acme")
    assert (seal["seal_no"], seal["rows"], len(seal["hash"])) == (1, 1, 64)
    assert "sealed already" in terminal.type("ledger", "seal")


def test_every_check_of_the_books_has_a_remedy_of_its_own() -> None:
    checks = [*BOOKS, *GUARDS, "seals"]
    assert len({remedy_of(check) for check in checks}) == len(checks)
    assert remedy_of("unheard of") not in {remedy_of(check) for check in checks}


def test_accounts_are_listed_by_what_is_asked(terminal: Terminal) -> None:
    terminal.import_rows(
        "L-1,10.00,EUR,2026-01-31,UTC",
        "L-2,11.00,EUR,2099-01-31,UTC",
        "L-3,12.00,EUR,2026-01-31,UTC",
    )
    terminal.type("accounts", "park", "L-3", "--tenant", "acme", "--reason", "looked odd")

    def listed(*words: str) -> list[str]:
        found = terminal.read_json("accounts", "list", *words)
        return [one["account_id"] for one in found if one["account_id"].startswith("L-")]

    assert listed() == ["L-1", "L-2", "L-3"]
    assert listed("--due") == ["L-1"]
    assert listed("--not-due", "--not-parked") == ["L-2"]
    assert listed("--parked", "--tenant", "acme") == ["L-3"]
    assert listed("--state", "PAST_DUE") == []
    assert "10.00 EUR" in terminal.type("accounts", "list")
    terminal.type("accounts", "list", "--limit", "2")
    assert "more than 2" in terminal.errors
    terminal.type("accounts", "list", "--tenant", "nobody", ends=Exit.USAGE)


def test_a_changed_payment_method_says_whether_a_bill_waits_for_it(terminal: Terminal) -> None:
    """R35."""
    terminal.import_rows("L-1,10.00,EUR,2026-01-31,UTC")
    change = ("accounts", "set-payment-method", "L-1", "card-2", "--tenant", "acme")
    assert "no bill waits" in terminal.type(*change)
    missing = ("accounts", "set-payment-method", "L-9", "card-2", "--tenant", "acme")
    terminal.type(*missing, ends=Exit.USAGE)
