"""The webhook port in memory: what was posted, and the answers that a test wants.

Tests and simulations use it instead of `webhook_http`; it refuses the same addresses.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from billfleet_workers.adapters.webhook_targets import check_url
from billfleet_workers.runtime.ports.webhooks import (
    TargetUnreachable,
    WebhookAnswer,
)


@dataclass(frozen=True, slots=True)
class Posted:
    """One POST as it would have left."""

    url: str
    body: bytes
    headers: Mapping[str, str]


class MemoryWebhookSender:
    """Takes everything with 204, unless `answers` says otherwise, one after the other."""

    def __init__(self, *, to_loopback: bool = False) -> None:
        self.posted: list[Posted] = []
        self.answers: list[WebhookAnswer | TargetUnreachable] = []
        self._to_loopback = to_loopback

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> WebhookAnswer:
        """Note it, and answer as told."""
        check_url(url, to_loopback=self._to_loopback)
        self.posted.append(Posted(url, body, dict(headers)))
        answer = self.answers.pop(0) if self.answers else WebhookAnswer(204, "")
        if isinstance(answer, TargetUnreachable):
            raise answer
        return answer

    async def close(self) -> None:
        """Nothing is kept."""
