"""Structured logs: JSON in production, readable in a terminal, and never a secret.

`main` configures it once per process. Every line carries the same field names as metrics, tables
and runbooks (`queue`, `type`, `tenant`, `id`, `dedupe_key`, `outcome`).
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import orjson
import structlog

_URL_PASSWORD = re.compile(r"(?P<head>[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@]+(?=@)", re.IGNORECASE)
_KEY = re.compile(r"(?:\b(?:sk|rk|whsec)_[A-Za-z0-9_]{6,}|\bAKIA[A-Z0-9]{12,})")
_KEY_MARKS = ("sk_", "rk_", "whsec_", "AKIA")
_SECRET_NAMES = frozenset({"password", "secret", "api_key", "authorization", "signature"})
MASK = "***"


def configure(
    log_format: Literal["auto", "json", "console"],
    log_level: str,
    stream: TextIO | None = None,
) -> None:
    """Set up structlog for this process."""
    stream = stream or sys.stderr
    readable = log_format == "console" or (log_format == "auto" and stream.isatty())
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if readable:
        processors += [tidy, structlog.dev.ConsoleRenderer(colors=stream.isatty())]
    else:
        processors += [structlog.processors.format_exc_info, tidy, _render_json]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[log_level.upper()]
        ),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )


def tidy(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Leave out fields that say nothing, and mask what looks like a credential."""
    kept: MutableMapping[str, Any] = {}
    for name, value in event.items():
        if value is None or value == "":
            continue
        if name in _SECRET_NAMES:
            kept[name] = MASK
        else:
            kept[name] = mask(value) if isinstance(value, str) else value
    return kept


def mask(text: str) -> str:
    """Text with passwords of URLs and keys of known forms taken out."""
    # Nearly no text has either; two searches for a substring cost far less than two patterns.
    if "://" in text:
        text = _URL_PASSWORD.sub(rf"\g<head>{MASK}", text)
    if any(mark in text for mark in _KEY_MARKS):
        text = _KEY.sub(MASK, text)
    return text


def _render_json(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    return orjson.dumps(event, default=str).decode()
