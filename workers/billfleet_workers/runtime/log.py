"""Structured logs: JSON in production, readable in a terminal, and never a secret.

`main` configures it once per process. Every line carries the same field names as metrics, tables
and runbooks (`queue`, `type`, `tenant`, `id`, `dedupe_key`, `outcome`).
"""

import logging
import os
import re
import sys
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TextIO, cast

import orjson
import structlog

_URL_PASSWORD = re.compile(r"(?P<head>[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@]+(?=@)", re.IGNORECASE)
_KEY = re.compile(r"(?:\b(?:sk|rk|whsec)_[A-Za-z0-9_]{6,}|\bAKIA[A-Z0-9]{12,})")
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_SECRET_NAMES = frozenset({"password", "secret", "api_key", "authorization", "signature"})
_MARKS = ("://", "sk_", "rk_", "whsec_", "AKIA", *(f'"{name}"' for name in _SECRET_NAMES))
MASK = "***"

Line = tuple[str, str, dict[str, Any]]
"""Level, event and fields."""


@dataclass(frozen=True, slots=True)
class _Json:
    """Where lines of JSON go, and from which level on; known by its processors."""

    processors: list[structlog.typing.Processor]
    stream: "Steady"
    level: int


class Steady:
    """A stream for lines whose loss costs less than the work that they speak of.

    Whoever reads the log may go away (a full disk, a pipe that closed); what the fleet does then
    goes on, is in the tables, and is lost to the log alone.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write, if that can be done."""
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        """Flush, if that can be done."""
        with suppress(OSError, ValueError):
            self._stream.flush()


_quick: list[_Json] = []
"""One, where lines are JSON."""


def configure(
    log_format: Literal["auto", "json", "console"],
    log_level: str,
    stream: TextIO | None = None,
    *,
    for_good: bool = False,
) -> None:
    """Set up structlog for this process.

    `for_good` lets loggers keep what they are set to at their first line, which is cheaper: for a
    process that never sets them up again.
    """
    stream = stream or sys.stderr
    steady = Steady(stream)
    readable = log_format == "console" or (log_format == "auto" and stream.isatty())
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if readable:
        processors += [mask_fields, structlog.dev.ConsoleRenderer(colors=has_colour(stream))]
    else:
        processors += [structlog.processors.format_exc_info, render_json]
    level = logging.getLevelNamesMapping()[log_level.upper()]
    _quick[:] = [] if readable else [_Json(list(processors), steady, level)]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", steady)),
        cache_logger_on_first_use=for_good,
    )


def write_lines(
    logger: structlog.typing.FilteringBoundLogger, lines: Sequence[Line], now: datetime
) -> None:
    """Many lines at once, as `logger` would write each: one moment and one write for all."""
    json = _quick[0] if _quick else None
    if json is None or structlog.get_config()["processors"] != json.processors:
        for level, event, fields in lines:
            getattr(logger, level)(event, **fields)
        return
    timestamp = now.isoformat().replace("+00:00", "Z")
    wanted = [
        {**fields, "event": event, "level": level, "timestamp": timestamp}
        for level, event, fields in lines
        if _LEVELS[level] >= json.level
    ]
    text = "\n".join([_as_json(line) for line in wanted])
    if _may_hold_secrets(text):
        text = "\n".join([_as_json(mask_fields(None, "", line)) for line in wanted])
    if text:
        json.stream.write(f"{text}\n")
        json.stream.flush()


def has_colour(stream: TextIO) -> bool:
    """Whether a person looks who has not said that they want none (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def render_json(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    """One line of JSON, without empty fields and without secrets."""
    line = _as_json(event)
    # Nearly no line has anything to mask: five searches in the line cost less than one in each
    # of its fields.
    if _may_hold_secrets(line):
        return _as_json(mask_fields(_logger, _method, event))
    return line


def mask_fields(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """The fields that say something, with what looks like a credential taken out."""
    return {
        name: MASK if name in _SECRET_NAMES else mask(value) if isinstance(value, str) else value
        for name, value in event.items()
        if value is not None and value != ""
    }


def mask(text: str) -> str:
    """Text with passwords of URLs and keys of known forms taken out."""
    return _KEY.sub(MASK, _URL_PASSWORD.sub(rf"\g<head>{MASK}", text))


def _may_hold_secrets(text: str) -> bool:
    return any(mark in text for mark in _MARKS)


def _as_json(event: MutableMapping[str, Any]) -> str:
    said = {name: value for name, value in event.items() if value is not None and value != ""}
    return orjson.dumps(said, default=str).decode()
