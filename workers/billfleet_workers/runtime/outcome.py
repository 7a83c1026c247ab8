"""What a delivery ends with: one of four values, and nothing else.

`decide` makes them, `delivery` acts on them, and metrics, logs, console and runbooks use the same
four words. They hold plain values so that they can be compared, logged and replayed.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Done:
    """The effect is there. Delete the message. `note` is what the handler counted."""

    word: ClassVar[str] = "done"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The effect was there already. Delete the message."""

    word: ClassVar[str] = "duplicate"
    completed_at: datetime | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now. Hide the message for `after_s` seconds; it comes back by itself."""

    word: ClassVar[str] = "retry"
    after_s: float
    reason: str
    error_class: str


@dataclass(frozen=True, slots=True)
class Poison:
    """It can never succeed as it is. Bury it with its reason and its original bytes."""

    word: ClassVar[str] = "poison"
    reason: str
    error_class: str


Outcome = Done | Duplicate | Retry | Poison
