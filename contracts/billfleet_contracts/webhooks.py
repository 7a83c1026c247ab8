"""The webhooks family: one delivery of one announcement to one endpoint of a tenant.

Built by the webhooks worker when it fans an announcement out, and by the command that tests an
endpoint; read by the same worker. What is delivered lies in the database: these models must not
know addresses or secrets.
"""

from __future__ import annotations

from typing import ClassVar

from billfleet_contracts.event import Event
from billfleet_contracts.fields import AccountId


class DeliverWebhook(Event):
    """Request: bring this delivery to its endpoint, unless it has arrived already."""

    TYPE: ClassVar[str] = "billfleet.webhooks.deliver_webhook.v1"

    endpoint_id: AccountId
    delivery_id: AccountId

    def subject(self) -> str | None:
        """The endpoint."""
        return self.endpoint_id

    def default_dedupe_key(self) -> str:
        """A delivery arrives once."""
        return f"{self.short_name()}:{self.delivery_id}"
