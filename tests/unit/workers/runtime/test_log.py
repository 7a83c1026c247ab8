"""Logs say what happened and never a secret."""

import io
import json
from datetime import UTC, datetime

import pytest
import structlog
from structlog.testing import capture_logs

from billfleet_workers.runtime.log import Line, configure, mask, write_lines


@pytest.fixture(autouse=True)
def _restored() -> object:
    yield
    structlog.reset_defaults()


def test_production_lines_are_json_with_the_fields_of_the_code() -> None:
    stream = io.StringIO()
    configure("json", "info", stream)
    structlog.get_logger("billfleet.delivery").info("done", queue="rebill", id="e-1", tenant=None)
    line = json.loads(stream.getvalue())
    assert line["event"] == "done"
    assert line["queue"] == "rebill"
    assert line["level"] == "info"
    assert "tenant" not in line
    assert line["timestamp"].endswith("Z")


def test_debug_lines_are_left_out_at_info() -> None:
    stream = io.StringIO()
    configure("json", "info", stream)
    structlog.get_logger("x").debug("quiet")
    assert stream.getvalue() == ""


def test_a_terminal_gets_readable_lines() -> None:
    stream = io.StringIO()
    configure("console", "info", stream)
    structlog.get_logger("x").info("done", queue="rebill")
    assert "queue=rebill" in stream.getvalue()


def test_an_exception_is_one_json_line() -> None:
    stream = io.StringIO()
    configure("json", "info", stream)
    try:
        int("no")
    except ValueError:
        structlog.get_logger("x").exception("died")
    assert "ValueError: invalid" in json.loads(stream.getvalue())["exception"]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://me:s3cret@db/x failed", "postgresql://me:***@db/x failed"),
        ("key sk_test_4eC39HqLyjWDarjtT1zdp7dc", "key ***"),
        ("AKIA" + "IOSFODNN7EXAMPLE", "***"),
        ("nothing here: a@b", "nothing here: a@b"),
    ],
)
def test_what_looks_like_a_credential_is_masked(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_fields_named_like_secrets_are_masked_whatever_they_hold() -> None:
    stream = io.StringIO()
    configure("json", "info", stream)
    structlog.get_logger("x").info("e", password="hunter2", url="postgres://a:b@c/d")
    assert "hunter2" not in stream.getvalue()
    assert "a:b@" not in stream.getvalue()


NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LINES: list[Line] = [
    ("info", "done", {"queue": "rebill", "tenant": None, "id": "e-1"}),
    ("error", "poison", {"queue": "rebill", "reason": "postgres://a:b@c refused"}),
]


def test_lines_written_together_are_those_of_the_logger() -> None:
    said: list[list[dict[str, object]]] = []
    for is_together in (True, False):
        stream = io.StringIO()
        configure("json", "info", stream)
        logger = structlog.get_logger("billfleet.delivery")
        if is_together:
            write_lines(logger, LINES, NOW)
        else:
            for level, event, fields in LINES:
                getattr(logger, level)(event, **fields)
        said.append([json.loads(line) for line in stream.getvalue().splitlines()])
    assert {line.pop("timestamp") for line in said[0]} == {"2026-01-31T12:00:00Z"}
    assert all(line.pop("timestamp") for line in said[1])
    assert said[0] == said[1]
    assert "a:b@" not in str(said[0])


def test_lines_written_together_keep_to_the_level() -> None:
    stream = io.StringIO()
    configure("json", "error", stream)
    write_lines(structlog.get_logger("x"), LINES, NOW)
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["poison"]


def test_lines_written_together_are_readable_in_a_terminal() -> None:
    stream = io.StringIO()
    configure("console", "info", stream)
    write_lines(structlog.get_logger("x"), LINES, NOW)
    assert "queue=rebill" in stream.getvalue()


def test_whoever_sets_up_logs_otherwise_is_heard() -> None:
    configure("json", "info", io.StringIO())
    with capture_logs() as logs:
        write_lines(structlog.get_logger("x"), LINES, NOW)
    assert [line["event"] for line in logs] == ["done", "poison"]


class Gone(io.StringIO):
    """A stream whose reader has gone away."""

    def write(self, text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


def test_a_log_that_nobody_reads_fails_no_work() -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (Gone(), closed):
        configure("json", "info", stream)
        logger = structlog.get_logger("test")
        logger.info("alone")
        write_lines(logger, [("info", "together", {}), ("info", "twice", {})], NOW)
        configure("console", "info", stream if stream is not closed else Gone())
        logger.info("for people")
