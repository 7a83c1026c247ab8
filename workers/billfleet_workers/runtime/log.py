"""Structured logs: JSON in production, readable in a terminal, and never a secret.

`main` configures it once per process. Every line carries the same field names as metrics, tables
and runbooks (`queue`, `type`, `tenant`, `id`, `dedupe_key`, `outcome`).
"""

import logging
import os
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import orjson
import structlog

_URL_PASSWORD = re.compile(r"(?P<head>[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@]+(?=@)", re.IGNORECASE)
_KEY = re.compile(r"(?:\b(?:sk|rk|whsec)_[A-Za-z0-9_]{6,}|\bAKIA[A-Z0-9]{12,})")
_SECRET_NAMES = frozenset({"password", "secret", "api_key", "authorization", "signature"})
_MARKS = ("://", "sk_", "rk_", "whsec_", "AKIA", *(f'"{name}"' for name in _SECRET_NAMES))
MASK = "***"


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
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[log_level.upper()]
        ),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=for_good,
    )


def has_colour(stream: TextIO) -> bool:
    """Whether a person looks who has not said that they want none (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def render_json(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    """One line of JSON, without empty fields and without secrets."""
    line = _as_json(event)
    # Nearly no line has anything to mask: five searches in the line cost less than one in each
    # of its fields.
    if any(mark in line for mark in _MARKS):
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


def _as_json(event: MutableMapping[str, Any]) -> str:
    said = {name: value for name, value in event.items() if value is not None and value != ""}
    return orjson.dumps(said, default=str).decode()
