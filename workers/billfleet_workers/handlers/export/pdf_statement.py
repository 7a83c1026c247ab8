"""The statement of one account over some days, as a PDF that one would send to a customer.

A library lays the lines out as they come, so that a long statement costs time and not memory; more
lines than anybody reads are refused. The same lines give the same bytes: dates come from the
request, and the file's id from its content.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any, Final
from zoneinfo import ZoneInfo

import font_roboto
from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import FontFace

from billfleet_db.snapshots import Snapshot
from billfleet_db.statements import Head, head, owed_before
from billfleet_workers.handlers.export.errors import ExportRefused
from billfleet_workers.handlers.export.formats import Order
from billfleet_workers.handlers.export.parts import PartWriter
from billfleet_workers.handlers.export.statement_words import Tongue

LINES_MAX: Final = 5_000
"""Some 150 pages; who needs more asks for the ledger."""
FONT: Final = "Roboto"
INK: Final = (33, 37, 41)
FAINT: Final = (108, 117, 125)
RULE: Final = (206, 212, 218)
SHADE: Final = (244, 246, 248)
WIDTHS: Final = (26, 74, 26, 26, 28)
LINE_MM: Final = 6.0


@dataclass(frozen=True, slots=True)
class Line:
    """One posting, as the customer sees it."""

    day: date
    kind: str
    period_start: date
    currency: str
    signed_minor: int


@dataclass(frozen=True, slots=True)
class Statement:
    """Everything that is on the pages."""

    head: Head
    first_day: date
    last_day: date
    dated: datetime
    before_minor: Mapping[str, int]
    lines: Sequence[Line]


async def write(snapshot: Snapshot, order: Order, parts: PartWriter) -> int:
    """Write the statement; returns its lines."""
    statement = await _read(snapshot, order)
    parts.rows_seen = len(statement.lines)
    await parts.write(await asyncio.to_thread(render, statement, Tongue.of(order.locale)))
    return len(statement.lines)


async def _read(snapshot: Snapshot, order: Order) -> Statement:
    filters = order.selection.filters
    account_id = filters["account_id"]
    first, last = (date.fromisoformat(filters[name]) for name in ("posted_from", "posted_to"))
    if first > last:
        raise ExportRefused("the statement's last day is before its first")
    about = await head(snapshot, order.tenant_id, account_id)
    if about is None:
        raise ExportRefused(f"there is no account {account_id!r}")
    lines: list[Line] = []
    async for rows in snapshot.batches(order.selection.query(), order.selection.args):
        lines += (_line(row, about.time_zone) for row in rows)
        if len(lines) > LINES_MAX:
            raise ExportRefused(
                f"a statement has {LINES_MAX} lines at most; choose fewer days, or ask for the"
                " ledger as csv"
            )
    before = await owed_before(snapshot, order.tenant_id, account_id, first)
    return Statement(about, first, last, order.requested_at, before, lines)


def _line(row: Any, time_zone: str) -> Line:
    day = row["posted_at"].astimezone(ZoneInfo(time_zone)).date()
    return Line(day, row["kind"], row["period_start"], row["currency"], row["signed_minor"])


def render(statement: Statement, tongue: Tongue) -> bytes:
    """The PDF's bytes; the same for the same statement and tongue."""
    page = _Page(statement, tongue)
    page.add_page()
    page.draw_head()
    for currency, lines in _by_currency(statement):
        page.draw_section(currency, lines)
    return bytes(page.output())


def _by_currency(statement: Statement) -> Iterator[tuple[str, Sequence[Line]]]:
    """Each currency that something is or was owed in; the account's own when there is none."""
    grouped = {
        currency: list(lines)
        for currency, lines in groupby(statement.lines, key=lambda line: line.currency)
    }
    owing = [currency for currency, minor in statement.before_minor.items() if minor]
    for currency in sorted({*grouped, *owing}) or [statement.head.currency]:
        yield currency, grouped.get(currency, [])


class _Page(FPDF):
    """A4 with our head and foot."""

    def __init__(self, statement: Statement, tongue: Tongue) -> None:
        super().__init__(format="A4")
        self._statement = statement
        self._tongue = tongue
        self.set_margins(15, 18, 15)
        self.set_auto_page_break(auto=True, margin=20)
        self.add_font(FONT, "", font_roboto.Roboto)
        self.add_font(FONT, "B", font_roboto.RobotoBold)
        self.set_creation_date(statement.dated.astimezone(UTC))
        self.set_title(f"{tongue.say('title')} {statement.head.account_id}")
        self.set_author(statement.head.tenant_name)
        self.set_lang(str(tongue.locale).replace("_", "-"))
        self.set_text_color(*INK)
        self.set_draw_color(*RULE)

    def file_id(self) -> str:
        """What a viewer tells files apart by: here it follows from what is in the file."""
        digest = hashlib.sha256(repr(self._statement).encode()).hexdigest()[:32].upper()
        return f"<{digest}><{digest}>"

    def footer(self) -> None:
        """The number of the page; the library calls it."""
        self.set_y(-14)
        self.set_font(FONT, "", 8)
        self.set_text_color(*FAINT)
        number = self._tongue.say("page", page=self.page_no(), pages="{nb}")
        self.cell(0, 5, f"{self._statement.head.account_id}", align="L")
        self.set_x(15)
        self.cell(0, 5, number, align="R")
        self.set_text_color(*INK)

    def draw_head(self) -> None:
        """Who sends what to whom."""
        about, say = self._statement.head, self._tongue.say
        self.set_font(FONT, "B", 11)
        self._row(about.tenant_name)
        self.ln(6)
        self.set_font(FONT, "B", 20)
        self._row(say("title"), 10)
        self.ln(3)
        days = (self._statement.first_day, self._statement.last_day)
        facts = (
            (say("customer"), about.customer_name),
            (say("account"), about.account_id),
            (say("period"), " \u2013 ".join(self._tongue.day(day) for day in days)),
            (say("dated"), self._tongue.day(self._statement.dated.astimezone(UTC).date())),
        )
        for name, value in facts:
            self.set_font(FONT, "", 10)
            self.set_text_color(*FAINT)
            self.cell(42, LINE_MM, name)
            self.set_text_color(*INK)
            self.multi_cell(0, LINE_MM, value, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(4)

    def draw_section(self, currency: str, lines: Sequence[Line]) -> None:
        """One currency: what was owed before, every line, what is owed after."""
        self.ln(6)
        self.set_font(FONT, "", 9)
        self.set_text_color(*FAINT)
        self._row(self._tongue.say("currency", currency=currency))
        self.set_text_color(*INK)
        with self.table(
            col_widths=WIDTHS,
            text_align=("LEFT", "LEFT", "RIGHT", "RIGHT", "RIGHT"),
            line_height=LINE_MM,
            borders_layout="HORIZONTAL_LINES",
            headings_style=FontFace(emphasis="BOLD", fill_color=SHADE),
            padding=(0.6, 1.2),
        ) as table:
            for cells, is_sum in self._cells(currency, lines):
                row = table.row()
                for cell in cells:
                    row.cell(cell, style=FontFace(emphasis="BOLD") if is_sum else None)

    def _cells(
        self, currency: str, lines: Sequence[Line]
    ) -> Iterator[tuple[tuple[str, ...], bool]]:
        tongue, say = self._tongue, self._tongue.say
        yield tuple(say(word) for word in ("day", "what", "charged", "paid", "balance")), False
        owed = self._statement.before_minor.get(currency, 0)
        first = tongue.day(self._statement.first_day)
        yield (first, say("before"), "", "", tongue.money(owed, currency)), True
        if not lines:
            yield ("", say("nothing"), "", "", ""), False
        for line in lines:
            owed += line.signed_minor
            amount = tongue.money(abs(line.signed_minor), currency)
            sides = (amount, "") if line.signed_minor >= 0 else ("", amount)
            what = say(line.kind, period=tongue.day(line.period_start))
            yield (tongue.day(line.day), what, *sides, tongue.money(owed, currency)), False
        last = tongue.day(self._statement.last_day)
        yield (last, say("after", day=last), "", "", tongue.money(owed, currency)), True

    def _row(self, text: str, height_mm: float = LINE_MM) -> None:
        self.multi_cell(0, height_mm, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
