from datetime import date
from pathlib import Path

import pytest

from billfleet_db.importing import StagedAccount
from billfleet_ops.account_columns import Problem, parse_row
from billfleet_ops.column_sources import pairs, sources_of
from billfleet_ops.csv_file import Broken, CsvFile, FileUnusable, Record
from billfleet_ops.errors import UsageWrong

GOOD = {
    "account_id": "A-1",
    "amount": "29.85",
    "currency": "USD",
    "rebilling_date": "2026-01-31",
}


def written(folder: Path, content: bytes) -> Path:
    path = folder / "accounts.csv"
    path.write_bytes(content)
    return path


def records(path: Path, encoding: str | None = None) -> list[Record | Broken]:
    file = CsvFile(path, encoding=encoding)
    try:
        return list(file.records())
    finally:
        file.close()


def staged(**changes: str) -> StagedAccount:
    parsed = parse_row(2, {**GOOD, **changes})
    assert isinstance(parsed, StagedAccount), parsed
    return parsed


def refused(**changes: str) -> tuple[str, str]:
    parsed = parse_row(2, {**GOOD, **changes})
    assert isinstance(parsed, list), parsed
    [problem] = parsed
    return problem.column, problem.reason


def test_byte_order_mark_crlf_and_quoted_line_breaks_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, b'\xef\xbb\xbfid,name\r\n1,"Ann\r\nLee"\r\n\r\n2,"say ""hi"""\r\n')
    assert records(path) == [Record(2, ("1", "Ann\r\nLee")), Record(5, ("2", 'say "hi"'))]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_taken_from_the_header(tmp_path: Path, delimiter: str) -> None:
    path = written(tmp_path, f"id{delimiter}a.b\n1{delimiter}2\n".encode())
    assert records(path) == [Record(2, ("1", "2"))]


def test_a_row_of_another_width_is_broken_and_keeps_its_cells(tmp_path: Path) -> None:
    path = written(tmp_path, b"id,name\n1\n2,b\n3,c,d\n")
    assert records(path) == [
        Broken(2, "it has 1 fields; the header has 2", ("1",)),
        Record(3, ("2", "b")),
        Broken(4, "it has 3 fields; the header has 2", ("3", "c", "d")),
    ]


def test_a_quote_that_is_never_closed_is_reported_where_it_begins(tmp_path: Path) -> None:
    [first, broken] = records(written(tmp_path, b'id,name\n1,a\n2,"b\n3,c\n'))
    assert first == Record(2, ("1", "a"))
    assert broken == Broken(3, "a quoted field begins here and is never closed")


def test_text_behind_a_closing_quote_breaks_only_its_own_row(tmp_path: Path) -> None:
    [broken, after] = records(written(tmp_path, b'id,name\n1,"a"b\n2,c\n'))
    assert isinstance(broken, Broken)
    assert "closing quote" in broken.reason
    assert after == Record(3, ("2", "c"))


def test_old_encodings_are_refused_with_the_line_and_read_when_named(tmp_path: Path) -> None:
    path = written(tmp_path, "id,name\n1,Bob\n2,José\n".encode("latin-1"))
    with pytest.raises(FileUnusable, match="Line 3 is not UTF-8"):
        records(path)
    assert records(path, "latin-1")[1] == Record(3, ("2", "José"))


def test_utf_16_is_named_and_read_when_asked(tmp_path: Path) -> None:
    path = written(tmp_path, "id,name\n1,Bob\n".encode("utf-16"))
    with pytest.raises(FileUnusable, match="UTF-16") as refusal:
        records(path)
    assert "--encoding utf-16" in refusal.value.remedy
    assert records(path, "utf-16") == [Record(2, ("1", "Bob"))]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"PK\x03\x04rest", "Excel"),
        (b"%PDF-1.7", "PDF"),
        (b'[{"id": 1}]', "JSON"),
        (b"<html>", "HTML"),
        (b"id\x00name", "not text"),
    ],
)
def test_what_is_not_csv_is_called_by_its_name(tmp_path: Path, content: bytes, what: str) -> None:
    with pytest.raises(FileUnusable, match=what):
        records(written(tmp_path, content))


def test_a_missing_file_a_directory_and_an_unknown_encoding_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileUnusable, match="no such file"):
        records(tmp_path / "none.csv")
    with pytest.raises(FileUnusable, match="directory"):
        records(tmp_path)
    with pytest.raises(FileUnusable, match="no encoding named"):
        records(written(tmp_path, b"id\n1\n"), "utf-99")


def test_missing_columns_are_named_with_the_map_that_would_fit() -> None:
    with pytest.raises(UsageWrong) as refusal:
        sources_of(["customer_id", "monthly_charges_usd", "contract"], {}, {"currency": "USD"})
    assert "--map account_id=customer_id" in refusal.value.what
    assert "--map amount=monthly_charges_usd" in refusal.value.what
    assert "rebilling_date" in refusal.value.what
    assert "currency" not in refusal.value.what


def test_a_mapped_column_that_the_file_lacks_is_refused_with_a_near_match() -> None:
    with pytest.raises(UsageWrong, match="no column 'monthly_charge', but 'monthly_charges'"):
        sources_of(["monthly_charges"], {"amount": "monthly_charge"}, {})


def test_a_column_that_is_in_the_file_twice_is_refused() -> None:
    with pytest.raises(UsageWrong, match="2 columns named 'amount'"):
        sources_of(["account_id", "amount", "amount"], {}, {})


def test_constants_win_over_the_file_and_unread_columns_are_listed() -> None:
    sources = sources_of(
        ["account_id", "amount", "currency", "churned"],
        {},
        {"currency": "EUR", "rebilling_date": "2026-01-31"},
    )
    texts = sources.texts(["A-1", "1.00", "USD", "No"])
    assert texts == {
        "account_id": "A-1",
        "amount": "1.00",
        "currency": "EUR",
        "rebilling_date": "2026-01-31",
    }
    assert sources.ignored == ("currency", "churned")


def test_the_amount_may_be_left_to_the_plan() -> None:
    header = ["account_id", "plan", "currency", "rebilling_date"]
    assert "amount" not in sources_of(header, {}, {}).provided


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("amount", "not written as column=value"),
        ("amuont=price", "Did you mean amount"),
        ("xyzzy=price", "we have no column"),
    ],
)
def test_a_map_option_that_makes_no_sense_is_refused(given: str, what: str) -> None:
    with pytest.raises(UsageWrong, match=what):
        pairs([given], option="--map")


def test_a_column_mapped_twice_or_mapped_and_set_is_refused() -> None:
    with pytest.raises(UsageWrong, match="twice"):
        pairs(["amount=a", "amount=b"], option="--map")
    with pytest.raises(UsageWrong, match="both --map and --set"):
        sources_of(["a"], {"amount": "a"}, {"amount": "1"})


def test_what_a_row_leaves_out_takes_its_default() -> None:
    assert staged() == StagedAccount(
        line=2,
        account_id="A-1",
        name="A-1",
        email=None,
        locale="en-US",
        plan_id=None,
        amount_minor=2985,
        currency="USD",
        interval_months=None,
        commitment_months=1,
        anchor_day=31,
        time_zone="UTC",
        rebilling_date=date(2026, 1, 31),
        state="ACTIVE",
        payment_method=None,
    )


@pytest.mark.parametrize(
    ("text", "currency", "amount_minor"),
    [
        ("29.85", "USD", 2985),
        ("29.8500", "USD", 2985),
        ("29", "USD", 2900),
        ("100", "USD", 10000),
        ("0", "USD", 0),
        ("1500", "JPY", 1500),
        ("1500.00", "JPY", 1500),
        ("1.234", "KWD", 1234),
        ("1.2345", "CLF", 12345),
    ],
)
def test_amounts_become_minor_units_of_their_currency(
    text: str, currency: str, amount_minor: int
) -> None:
    """R14, R15: integers, with the exponents of ISO 4217."""
    assert staged(amount=text, currency=currency).amount_minor == amount_minor


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [
        ("amount", "", "no amount"),
        ("amount", "-5", "negative"),
        ("amount", "29,85", "comma"),
        ("amount", "$29.85", "more than a number"),
        ("amount", "1e3", "more than a number"),
        ("amount", "NaN", "not an amount"),
        ("amount", "29.855", "decimals"),
        ("amount", "10000000000000001", "decimal point"),
        ("currency", "", "--set currency=USD"),
        ("currency", "US", "ISO 4217"),
        ("currency", "XXQ", "ISO 4217"),
        ("currency", "XAU", "ISO 4217"),
        ("account_id", "", "no account_id"),
        ("account_id", "a b", "not an id"),
        ("account_id", "a" * 65, "not an id"),
        ("rebilling_date", "", "no rebilling_date"),
        ("rebilling_date", "31/01/2026", "year-month-day"),
        ("rebilling_date", "2026-02-30", "calendar"),
        ("rebilling_date", "0206-01-31", "year to bill"),
        ("anchor_day", "32", "from 1 to 31"),
        ("anchor_day", "15", "contradict"),
        ("interval_months", "0", "from 1 to 120"),
        ("commitment_months", "forever", "not a commitment"),
        ("time_zone", "America/New_Yrok", "did you mean America/New_York"),
        ("time_zone", "localtime", "not an IANA"),
        ("state", "GONE", "not a state"),
        ("email", "ann.example.org", "e-mail"),
        ("email", "ann@example.org\nBcc: x@example.org", "e-mail"),
        ("locale", "en_US", "locale"),
        ("name", "Ann\x00", "control"),
        ("payment_method", "4242 4242 4242 4242", "card number"),
    ],
)
def test_a_value_that_cannot_be_taken_is_refused_with_its_reason(
    column: str, text: str, reason: str
) -> None:
    """R54: line breaks and control characters never reach a mail's headers."""
    found_column, found_reason = refused(**{column: text})
    assert found_column == column
    assert reason in found_reason


def test_everything_wrong_with_a_row_is_said_at_once() -> None:
    problems = parse_row(7, {"account_id": "", "amount": "x", "currency": "USD"})
    assert isinstance(problems, list)
    assert {problem.column for problem in problems} == {"account_id", "amount", "rebilling_date"}
    assert {problem.line for problem in problems} == {7}


@pytest.mark.parametrize(
    ("text", "months"),
    [
        ("Month-to-month", 1),
        ("One year", 12),
        ("Two year", 24),
        ("two years", 24),
        ("18", 18),
        ("6 months", 6),
        ("", 1),
    ],
)
def test_contract_words_become_months_of_commitment(text: str, months: int) -> None:
    assert staged(commitment_months=text).commitment_months == months


def test_an_anchor_of_31_fits_the_last_day_of_a_short_month() -> None:
    """R1: the anchor is clamped to the month, and stays what it is."""
    assert staged(rebilling_date="2026-02-28", anchor_day="31").anchor_day == 31
    assert refused(rebilling_date="2026-02-27", anchor_day="31")[0] == "anchor_day"


def test_line_breaks_in_a_name_become_spaces() -> None:
    assert staged(name="Ann\r\n  Lee").name == "Ann Lee"


def test_a_plan_stands_in_for_an_amount_that_is_left_out() -> None:
    account = staged(plan="gold", amount="")
    assert (account.plan_id, account.amount_minor) == ("gold", None)


def test_problems_name_line_and_column() -> None:
    assert parse_row(9, {**GOOD, "state": "x"}) == [
        Problem(9, "state", "'x' is not a state; one of ACTIVE, PENDING, PAST_DUE, INACTIVE")
    ]
