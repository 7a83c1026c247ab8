"""Text that a spreadsheet would run is shielded, and nothing else is touched."""

import pytest

from billfleet_db.cells import is_formula, neutralised, shielded_within


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1+1",
        "-1+1",
        "@SUM(A1)",
        '=HYPERLINK("http://evil","x")',
        "\t=1+1",
        "\r=1+1",
        "\n=1+1",
        "\tplain",
        "  =1+1",
        "\u00a0=1+1",
        "\ufeff=1+1",
        "\u200b=1+1",
        "\u3000=1+1",
        "\x01=1+1",
        "\uff1d1+1",
        "\uff0b1",
        "\uff0dx",
        "\uff20x",
        "\ufe66x",
        "=",
        "-",
        "+49 30 123456",
        "-12,5",
        "-1-1",
        " -5",
        "--5",
    ],
)
def test_text_that_would_run_is_shielded(text: str) -> None:
    """R79."""
    assert neutralised(text) == "'" + text


@pytest.mark.parametrize(
    "text",
    ["", "acc-1", "a=b", "12.5", "-12.50", "-0", "M\u00e4rz", "\u8acb\u6c42\u66f8", "'=1", "a\n=1"],
)
def test_ordinary_text_and_numbers_stay_as_they_are(text: str) -> None:
    """R79: numbers stay numbers."""
    assert not is_formula(text)
    assert neutralised(text) == text


@pytest.mark.parametrize(
    ("rows", "shielded"),
    [
        ("1,a;=1+1,2\n", "1,a;'=1+1,2\n"),
        ('1,"a; ""=1;\t-x"\n', '1,"a; ""\'=1;\t\'-x"\n'),
        ('1,"a\n@SUM(A1)",2\n', '1,"a\n\'@SUM(A1)",2\n'),
        ('1,"a\r\n\uff1d1",2\n', '1,"a\r\n\'\uff1d1",2\n'),
        ("1,a;\u200b\u3000+1\n", "1,a;\u200b\u3000'+1\n"),
        ("1,a;-5;-x\n", "1,a;'-5;'-x\n"),
    ],
)
def test_text_that_would_run_when_split_elsewhere_is_shielded_there(
    rows: str, shielded: str
) -> None:
    """R79: where the decimal sign is a comma, spreadsheets split at semicolons."""
    assert shielded_within(rows.encode()).decode() == shielded


def test_numbers_at_the_beginning_of_a_line_and_ordinary_text_stay_as_they_are() -> None:
    """R79: numbers stay numbers."""
    rows = b"id,note\n-5,a;b\n-12\n,x-1;y=2\n7,a;\t'=1\n"
    assert shielded_within(rows) is rows
