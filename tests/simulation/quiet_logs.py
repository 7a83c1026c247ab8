"""Where the runtime's log lines go in a simulation: nowhere, or into the story that is being told.

`drop_logs` sets structlog up for a process that does nothing else; `dropped_logs` does it for a
while, and leaves no logger behind for whoever comes next.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from simulation.seeded_loop import OWNER
from simulation.story import Story

_listeners: list[Story] = []


class StoryLogger:
    """Looks like a bound logger; tells the story that listens, if one does."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Whatever structlog hands over is not needed."""

    def bind(self, **_: Any) -> "StoryLogger":
        return self

    def info(self, event: str, **fields: Any) -> None:
        if _listeners:
            owner = OWNER.get()
            wanted = {name: fields[name] for name in _TOLD if fields.get(name) is not None}
            said = " ".join(f"{name}={value}" for name, value in wanted.items())
            _listeners[-1].tell(owner.name if owner else "world", f"log: {event}", said)

    debug = warning = error = exception = critical = info


_TOLD = ("message_id", "reason", "error", "verb", "code", "dependency", "settled", "after_s")


@contextmanager
def listening(story: Story) -> Iterator[None]:
    """Log lines go into the story, if it is told at all."""
    if not story.is_told:
        yield
        return
    _listeners.append(story)
    try:
        yield
    finally:
        _listeners.pop()


def drop_logs(*, for_good: bool) -> None:
    """Set structlog up. `for_good`: loggers are made once and stay, which costs least."""
    structlog.configure(wrapper_class=StoryLogger, cache_logger_on_first_use=for_good)  # type: ignore[arg-type]


@contextmanager
def dropped_logs() -> Iterator[None]:
    """Drop log lines inside; afterwards structlog is as it was."""
    before, kept = structlog.get_config(), list(_kept_loggers())
    for fields in kept:
        fields["kept"] = fields.pop("bind")
    drop_logs(for_good=False)
    try:
        yield
    finally:
        structlog.configure(**before)
        for fields in kept:
            fields["bind"] = fields.pop("kept")


def _kept_loggers() -> Iterator[dict[str, Any]]:
    """Loggers of the runtime's modules that a fleet in this process has set for good."""
    for name, module in list(sys.modules.items()):
        if name.startswith("billfleet_workers.runtime"):
            fields = vars(getattr(module, "_log", object))
            if isinstance(fields, dict) and "bind" in fields:
                yield fields
