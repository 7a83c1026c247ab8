"""A bill as a PDF: the same bill gives the same bytes, whoever makes it and when.

The handler calls it in a thread, for it computes. It must not know where the file is kept.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final

from fpdf import FPDF, XPos, YPos

from billfleet_workers.money import format_minor

CONTENT_TYPE: Final = "application/pdf"
_INK: Final = (16, 23, 31)
_QUIET: Final = (93, 106, 119)
_ACCENT: Final = (11, 110, 110)
_LINE: Final = (223, 228, 232)
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class BillPage:
    """What stands on a bill."""

    tenant_name: str
    customer_name: str
    customer_id: str
    account_id: str
    number: int
    period_start: date
    period_end: date
    amount_minor: int
    currency: str


def file_name(account_id: str, period_start: date) -> str:
    """The name under which the reader keeps it (R88)."""
    return f"bill-{_UNSAFE.sub('-', account_id)}-{period_start}.pdf"


def draw(bill: BillPage) -> bytes:
    """The PDF."""
    page = FPDF(format="A4")
    # A file knows when it was made; that would make every one another. The bill's day stays.
    page.set_creation_date(datetime.combine(bill.period_start, time(), UTC))
    page.set_title(f"Bill {bill.number}")
    page.set_lang("en")
    page.set_margins(24, 24, 24)
    page.add_page()
    _head(page, bill)
    _rows(page, bill)
    _sum(page, bill)
    return bytes(page.output())


def _head(page: FPDF, bill: BillPage) -> None:
    page.set_fill_color(*_ACCENT)
    page.rect(0, 0, page.w, 3, style="F")
    _write(page, _printable(bill.tenant_name, "Bill"), size=13, style="B")
    page.ln(14)
    _write(page, "Bill", size=26, style="B")
    _write(page, f"No. {bill.number}", size=11, colour=_QUIET)
    page.ln(10)


def _rows(page: FPDF, bill: BillPage) -> None:
    facts = (
        ("Customer", _printable(bill.customer_name, bill.customer_id)),
        ("Account", bill.account_id),
        ("Period", f"{bill.period_start} to {bill.period_end}"),
        ("Due", f"{bill.period_start}"),
    )
    for label, value in facts:
        _row(page, label, value)
    page.ln(6)


def _row(page: FPDF, label: str, value: str) -> None:
    page.set_font("helvetica", size=11)
    page.set_text_color(*_QUIET)
    page.cell(40, 9, label)
    page.set_text_color(*_INK)
    page.cell(0, 9, value, align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    page.set_draw_color(*_LINE)
    page.line(page.l_margin, page.get_y(), page.w - page.r_margin, page.get_y())


def _sum(page: FPDF, bill: BillPage) -> None:
    page.set_text_color(*_QUIET)
    page.set_font("helvetica", size=11)
    page.cell(40, 14, "To pay")
    page.set_text_color(*_INK)
    page.set_font("helvetica", style="B", size=20)
    amount = format_minor(bill.amount_minor, bill.currency)
    page.cell(0, 14, amount, align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _write(
    page: FPDF,
    text: str,
    *,
    size: int,
    style: str = "",
    colour: tuple[int, int, int] = _INK,
) -> None:
    page.set_font("helvetica", style=style, size=size)
    page.set_text_color(*colour)
    page.cell(0, size * 0.5, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _printable(text: str, instead: str) -> str:
    """The PDF's built-in letters are those of Western Europe; another name is left to its id."""
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return instead
    return text
