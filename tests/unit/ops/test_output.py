"""What commands print, for people and for programs."""

import io
import json
from datetime import UTC, date, datetime

import pytest

from billfleet_ops.errors import OpsError
from billfleet_ops.output import WIDTH_OF_A_FILE, Output, duration


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_table_in_a_pipe_has_no_colour_and_cuts_no_name() -> None:
    stream = io.StringIO()
    name = "billfleet-production-europe-west-rebill-dlq-of-a-very-long-name"
    Output(stream).table(["queue", "waiting"], [(name, 3), ("[red]x", None)])
    text = stream.getvalue()
    assert "\x1b" not in text
    assert name in text
    assert "[red]x" in text
    assert max(len(line) for line in text.splitlines()) <= WIDTH_OF_A_FILE


def test_a_terminal_gets_colour_unless_no_color_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = Terminal()
    Output(coloured).say("fine", "green")
    assert "\x1b[32m" in coloured.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    Output(plain).say("fine", "green")
    assert "\x1b[32m" not in plain.getvalue()


def test_json_is_one_document_on_standard_output() -> None:
    stdout, stderr = io.StringIO(), io.StringIO()
    output = Output(stdout, stderr)
    output.note("starting")
    output.json({"at": datetime(2026, 1, 2, tzinfo=UTC), "day": date(2026, 1, 2), "n": [1, None]})
    assert json.loads(stdout.getvalue()) == {
        "at": "2026-01-02T00:00:00+00:00",
        "day": "2026-01-02",
        "n": [1, None],
    }
    assert stderr.getvalue() == "starting\n"


def test_a_problem_goes_to_standard_error() -> None:
    stdout, stderr = io.StringIO(), io.StringIO()
    Output(stdout, stderr).problem(OpsError("a", where="b", remedy="c"))
    assert stdout.getvalue() == ""
    assert stderr.getvalue() == "error: a\nwhere: b\nto do: c\n"


def test_a_line_in_a_pipe_is_one_line_however_long_it_is() -> None:
    stdout, stderr = io.StringIO(), io.StringIO()
    output, long = Output(stdout, stderr), "word " * 100 + "end"
    output.say(long)
    output.note(long)
    output.problem(OpsError(long, where="b", remedy=long))
    assert stdout.getvalue() == f"{long}\n"
    assert stderr.getvalue() == f"{long}\nerror: {long}\nwhere: b\nto do: {long}\n"


def narrow(monkeypatch: pytest.MonkeyPatch, columns: int) -> Terminal:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    return Terminal()


FIGURES = (
    ["tenant", "accounts", "charged", "expected", "paid"],
    [
        ("north-telecom", 600, "124,248.45", "124,248.45", "124,248.45"),
        ("leihrad", 1, "1", "2", None),
    ],
)


def test_a_wide_table_on_a_narrow_terminal_is_paragraphs_that_break_no_figure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = narrow(monkeypatch, 40)
    Output(stream).table(*FIGURES, title="Charged")
    lines = stream.getvalue().splitlines()
    assert "Charged" in lines[0]
    assert "  charged   124,248.45" in lines
    assert "  paid      -" in lines
    assert "┃" not in stream.getvalue()


def test_a_table_that_fits_stays_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = narrow(monkeypatch, 100)
    Output(stream).table(*FIGURES)
    assert "┃" in stream.getvalue()


def test_a_table_of_few_columns_is_folded_and_not_torn_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = narrow(monkeypatch, 40)
    Output(stream).table(["worker", "does"], [("rebill", "charges due accounts " * 4)])
    assert "┃" in stream.getvalue()


def test_amounts_of_money_stand_right_like_numbers() -> None:
    stream = io.StringIO()
    Output(stream).table(["side", "debits"], [("cash", "912,233.20 USD"), ("all", "0.00 USD")])
    assert "│       0.00 USD │" in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "-"), (0, "0 s"), (59, "59 s"), (60, "1 min"), (3600, "1.0 h"), (90_000, "1.0 d")],
)
def test_a_duration_is_shown_as_people_say_it(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_what_strangers_wrote_gives_a_terminal_no_orders(stream: type[io.StringIO]) -> None:
    """An endpoint's answer, a customer's name, a reason: no clipboard, no cleared screen."""
    orders = "\x1b]52;c;aGk=\x07 \x9b2J \x7f"
    shown = stream()
    output = Output(shown, shown)
    output.say(f"said {orders}\r\n\tand more")
    output.note(orders)
    output.table(["said"], [(orders,)])
    output.problem(OpsError(orders, where=orders, remedy=orders))
    text = shown.getvalue()
    for obeyed in ("\x1b]", "\x07", "\x9b", "\x7f"):
        assert obeyed not in text
    assert "aGk=" in text
    assert "and more" in text
