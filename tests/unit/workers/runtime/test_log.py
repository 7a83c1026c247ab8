"""Logs say what happened and never a secret."""

import io
import json

import pytest
import structlog

from billfleet_workers.runtime.log import configure, mask


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
