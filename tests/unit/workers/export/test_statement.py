"""Statements: what a customer reads, in their tongue, the same bytes for the same lines."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from billfleet_db.statements import Head
from billfleet_workers.handlers.export.pdf_statement import LINES_MAX, Line, Statement, render
from billfleet_workers.handlers.export.statement_words import ENGLISH, WORDS, Tongue

DAY = date(2026, 1, 31)
STATEMENT = Statement(
    Head("Northern Telecom", "Łukasz Żółć", "acc-1", "Europe/Berlin", "EUR"),
    date(2026, 1, 1),
    date(2026, 12, 31),
    datetime(2026, 11, 21, 12, tzinfo=UTC),
    {"EUR": -1500},
    [Line(DAY, "charge", DAY, "EUR", 2990), Line(DAY, "payment", DAY, "EUR", -2990)],
)


def test_the_same_statement_has_the_same_bytes() -> None:
    """R87."""
    assert render(STATEMENT, Tongue.of("de-DE")) == render(STATEMENT, Tongue.of("de-DE"))


def test_another_line_or_day_makes_another_file() -> None:
    """R87."""
    later = replace(STATEMENT, dated=datetime(2026, 11, 22, 12, tzinfo=UTC))
    shorter = replace(STATEMENT, lines=STATEMENT.lines[:1])
    files = {render(one, Tongue.of("en-US")) for one in (STATEMENT, later, shorter)}
    assert len(files) == 3


def test_pages_grow_with_the_lines_and_have_a_bound() -> None:
    """R87."""
    many = replace(STATEMENT, lines=list(STATEMENT.lines) * 50)
    pages = len(re.findall(rb"/Type /Page\b(?!s)", render(many, Tongue.of("en-US"))))
    assert pages == 4
    assert pages * LINES_MAX / len(many.lines) <= 250


@pytest.mark.parametrize("kind", ["charge", "payment", "refund", "reversal", "write_off"])
@pytest.mark.parametrize("language", WORDS)
def test_every_language_has_every_word(language: str, kind: str) -> None:
    assert set(WORDS[language]) == set(ENGLISH)
    assert "{" not in Tongue.of(language).say(kind, period="1.1.", day="1.1.")


@pytest.mark.parametrize(
    ("tag", "minor", "currency", "written"),
    [
        ("en-US", 1234567, "EUR", "12,345.67"),
        ("de-DE", -1234567, "EUR", "-12.345,67"),
        ("en-US", 120000, "JPY", "120,000"),
        ("en-US", 1500, "KWD", "1.500"),
        ("en-US", 12345, "RSD", "123.45"),
        ("xx-YY", 100, "USD", "1.00"),
    ],
)
def test_money_has_the_decimals_of_iso_in_the_form_of_the_locale(
    tag: str, minor: int, currency: str, written: str
) -> None:
    """R15: the display library would give the dinar none."""
    assert Tongue.of(tag).money(minor, currency) == written


def test_a_tongue_that_we_lack_has_its_numbers_and_english_words() -> None:
    tongue = Tongue.of("it-IT")
    assert tongue.say("title") == "Statement of account"
    assert tongue.day(date(2026, 1, 31)) == "31 gen 2026"
