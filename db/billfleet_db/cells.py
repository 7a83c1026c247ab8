"""Text that a spreadsheet would run as a formula, and how it is made to stay text.

Customers choose names, reasons and references; whoever opens an export must not run them. The rule
stands here twice: as Python, and as an SQL expression that COPY applies row by row. A property test
holds the two equal. It goes further than the usual list of first characters: spreadsheets skip
blanks and invisible characters before a formula, and take full-width signs for plain ones.

And a spreadsheet that splits at semicolons, as they do where the decimal sign is a comma, finds
cells in the middle of a text. Those are shielded in the bytes that COPY has written, where looking
for them costs next to nothing.
"""

import re
from typing import Final

STARTERS: Final = "\t\r\n"
"""A cell that begins with one of these is never ordinary text."""
SIGNS: Final = "=+-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b"
"""What begins a formula: the plain signs, full-width and small ones."""
SKIPPED: Final = "".join(
    chr(code)
    for code in (
        *range(0x01, 0x21),
        *range(0x7F, 0xA1),
        0x00AD,
        0x061C,
        0x1680,
        0x180E,
        *range(0x2000, 0x2010),
        *range(0x2028, 0x2030),
        *range(0x205F, 0x2070),
        0x3000,
        0xFEFF,
    )
)
"""Blanks, controls and invisible characters that may stand before a formula."""
SHIELD: Final = "'"
"""What spreadsheets read as: text follows."""
SPLITTERS: Final = ";\t\r\n"
"""Where a cell may begin that we did not write: another separator, or a line within a text."""
_NUMBER = re.compile(r"-[0-9]+(\.[0-9]+)?")


def is_formula(text: str) -> bool:
    """Whether a spreadsheet might run the text. A plain negative number is none."""
    if text[:1] and text[0] in STARTERS:
        return True
    begin = text.lstrip(SKIPPED)[:1]
    return begin != "" and begin in SIGNS and _NUMBER.fullmatch(text) is None


def neutralised(text: str) -> str:
    """The text as it may stand in a cell."""
    return SHIELD + text if is_formula(text) else text


def neutralised_sql(expression: str) -> str:
    """The same as SQL, for a text expression that names a column; NULL stays NULL.

    What begins with a letter or digit of ASCII, nearly all text there is, is let through first.
    """
    starters = ",".join(str(ord(char)) for char in STARTERS)
    signs = ",".join(str(ord(char)) for char in SIGNS)
    skipped = "".join(f"\\{ord(char):03o}" if char < "!" else _escaped(char) for char in SKIPPED)
    return (
        f"CASE WHEN ascii({expression}) BETWEEN 97 AND 122"
        f" OR ascii({expression}) BETWEEN 65 AND 90 OR ascii({expression}) BETWEEN 48 AND 57"
        f" THEN {expression}"
        f" WHEN ascii({expression}) IN ({starters})"
        f" OR (ascii(ltrim({expression}, E'{skipped}')) IN ({signs})"
        f" AND {expression} !~ '^-[0-9]+(\\.[0-9]+)?$')"
        f" THEN '''' || {expression} ELSE {expression} END"
    )


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04X}"


def _any_of(chars: str) -> bytes:
    return b"(?:" + b"|".join(re.escape(char.encode()) for char in chars) + b")"


# Nearly all lines begin with a letter or digit, so that is looked at first. A number of ours may be
# the first of its line, too.
_WITHIN: Final = {
    splitter.encode(): re.compile(
        b"(" + splitter.encode() + b"(?![0-9A-Za-z,])" + _any_of(SKIPPED + '"') + b"*)"
        b"(?=" + _any_of(SIGNS) + rb")(?!-[0-9]+(?:\.[0-9]+)?[,\n])"
    )
    for splitter in SPLITTERS
}


def shielded_within(rows: bytes) -> bytes:
    """Rows of CSV in which nothing runs either when they are split at another separator."""
    for splitter, begin in _WITHIN.items():
        if splitter in rows:
            rows = begin.sub(rb"\1" + SHIELD.encode(), rows)
    return rows
