"""Structured logs: JSON in production, readable in a terminal, and never a secret.

`main` configures it once per process. Every line carries the same field names as metrics, tables
and runbooks (`queue`, `type`, `tenant`, `id`, `dedupe_key`, `outcome`).
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog

_URL_PASSWORD = re.compile(r"(?P<head>[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@]+(?=@)", re.IGNORECASE)
_KEY = re.compile(r"\b(?:sk|rk|whsec)_[A-Za-z0-9_]{6,}|\bAKIA[A-Z0-9]{12,}")
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
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=18)
        if readable
        else structlog.processors.JSONRenderer(sort_keys=False)
    )
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not readable:
        processors.append(structlog.processors.format_exc_info)
    processors += [drop_empty, mask_secrets, renderer]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[log_level.upper()]
        ),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )


def drop_empty(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Leave out fields that say nothing."""
    for name in [name for name, value in event.items() if value is None or value == ""]:
        del event[name]
    return event


def mask_secrets(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace what looks like a credential, whatever field it stands in."""
    for name, value in event.items():
        if name in _SECRET_NAMES:
            event[name] = MASK
        elif isinstance(value, str):
            event[name] = mask(value)
    return event


def mask(text: str) -> str:
    """Text with passwords of URLs and keys of known forms taken out."""
    return _KEY.sub(MASK, _URL_PASSWORD.sub(rf"\g<head>{MASK}", text))
