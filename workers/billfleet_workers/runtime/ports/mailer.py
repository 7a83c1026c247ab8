"""The mailer port: hand one finished mail to a mail service.

The mail worker calls it, under a lease that it has written down before. Every answer says what is
known about the mail, because what follows differs: one that was surely not taken may be handed
over again, one whose answer was lost may only be repeated with a flag. It must not know templates.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FinishedMail:
    """A mail as bytes, whom the service shall deliver it to, and names to find it again by."""

    sender: str
    recipient: str
    body: bytes
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Taken:
    """The service took the mail; `service_id` is its name for it."""

    service_id: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """We send faster than we may. The mail was not taken; wait, then hand it over again."""

    reason: str
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Rejected:
    """The service will never take this mail."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unheard:
    """The mail left us and no answer came: it may have been taken."""

    reason: str


MailAnswer = Taken | Throttled | Rejected | Unheard


class Mailer(Protocol):
    """A mail service."""

    @property
    def name(self) -> str:
        """The name of its quota, in metrics and logs."""
        ...

    async def send(self, mail: FinishedMail) -> MailAnswer:
        """Hand the mail over, once: no adapter repeats the call by itself.

        Raises:
            Unavailable: the service was not reached, so the mail was surely not taken.
            Misconfigured: it refuses us; an identity or a permission is missing.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Safe to call twice."""
        ...
