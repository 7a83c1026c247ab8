"""The webhook port: bring one signed body to an address that a tenant chose.

The webhooks handler calls it. Tenants choose addresses, so an adapter refuses every one that leads
into our own network; it follows no redirect and reads no more than the beginning of an answer. It
must not know what is told, nor to whom.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

ANSWER_CHARS_MAX: Final = 500


class WebhookError(Exception):
    """Nothing came back. The reason is for the tenant's log, and for an operator."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TargetRefused(WebhookError):
    """The address leads where no webhook may go: inwards, or nowhere on the public network.

    Nothing was sent. Correct the endpoint's address; for tests on one machine set
    BILLFLEET_WEBHOOKS_TO_LOOPBACK.
    """


class TargetUnreachable(WebhookError):
    """No connection, no answer in time, or none that is HTTP. It may work later."""


@dataclass(frozen=True, slots=True)
class WebhookAnswer:
    """What an endpoint answered: its status, and the beginning of its words."""

    status: int
    beginning: str

    @property
    def is_taken(self) -> bool:
        """Whether it took what it was told."""
        return 200 <= self.status < 300


class WebhookSender(Protocol):
    """Sends POSTs."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> WebhookAnswer:
        """Send, and wait for an answer some seconds at most.

        Raises:
            TargetRefused: the address may not be called.
            TargetUnreachable: nothing came back.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Safe to call twice."""
        ...
