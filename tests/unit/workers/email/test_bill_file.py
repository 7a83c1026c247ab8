"""The PDF of a bill: the same bill, the same bytes."""

from dataclasses import replace
from datetime import date

from billfleet_workers.handlers.email_due_bills.bill_file import BillPage, draw, file_name

BILL = BillPage(
    "North Telecom",
    "Ada Lovelace",
    "c-1",
    "NO-0001",
    694,
    date(2026, 8, 31),
    date(2026, 9, 29),
    5288,
    "USD",
)


def test_the_same_bill_gives_the_same_bytes() -> None:
    """R87."""
    first = draw(BILL)
    assert first.startswith(b"%PDF-")
    assert draw(BILL) == first
    assert draw(replace(BILL, amount_minor=1)) != first


def test_a_name_that_the_file_cannot_spell_gives_way_to_the_id() -> None:
    assert draw(replace(BILL, customer_name="山田")) == draw(replace(BILL, customer_name="c-1"))


def test_a_file_is_named_safely() -> None:
    """R88."""
    assert file_name("a:1/../x", date(2026, 8, 31)) == "bill-a-1-..-x-2026-08-31.pdf"
