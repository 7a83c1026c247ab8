"""Headers that name a file hold whatever the name says."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfleet_contracts import attachment, object_key, safe_file_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("ledger.csv", "ledger.csv"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ('a"b\r\nSet-Cookie: x.csv', "a_bSet-Cookie_ x.csv"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("März 2026 請求.pdf", "März 2026 請求.pdf"),
        ("...", "file"),
        ("", "file"),
        ("x" * 300 + ".parquet", "x" * 142 + ".parquet"),
    ],
)
def test_a_name_keeps_its_letters_and_loses_what_means_more(name: str, safe: str) -> None:
    """R88."""
    assert safe_file_name(name) == safe


def test_a_name_beyond_ascii_is_given_twice() -> None:
    """R88: RFC 6266 for new readers, plain ASCII for old ones."""
    assert (
        attachment("März.csv")
        == "attachment; filename=\"Marz.csv\"; filename*=UTF-8''M%C3%A4rz.csv"
    )
    assert attachment("ledger.csv") == 'attachment; filename="ledger.csv"'


@given(st.text())
def test_no_name_breaks_out_of_its_header(name: str) -> None:
    """R88."""
    header = attachment(name)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
    assert "/" not in header
    assert safe_file_name(safe_file_name(name)) == safe_file_name(name)


@given(st.text())
def test_a_key_begins_with_kind_and_tenant_and_is_plain(name: str) -> None:
    """R88."""
    file_id = UUID("4f0c0000-0000-4000-8000-000000000001")
    key = object_key("exports", "acme", datetime(2026, 3, 1, tzinfo=UTC), file_id, name)
    assert key.startswith(f"exports/acme/2026/03/{file_id}-")
    assert key.count("/") == 4
    assert key.isascii()
    assert " " not in key
