"""Fan-out: an announcement becomes one delivery for each endpoint that wants to hear of it.

The runtime calls it with what the topic announced. Deliveries and the messages that ask for them
are one transaction; an announcement that comes again finds its deliveries written down. It sends
nothing.
"""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import DeliverWebhook, Envelope
from billfleet_db import Database, outbox, webhook_deliveries, webhooks
from billfleet_db.webhook_deliveries import NewDelivery
from billfleet_db.webhooks import Endpoint
from billfleet_workers.handlers.outbox_rows import outbox_row
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.handlers.webhooks.signing import body_of
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.handling import Finished, Work

_NAMESPACE: Final = uuid.UUID("3eb400c5-de11-4e4a-8e4f-3eb400c5de11")
KEPT: Final = timedelta(days=30)
PRUNE_EVERY_S: Final = 600.0
PRUNED_AT_ONCE_MAX: Final = 5_000


def delivery_id(tenant: str, endpoint_id: str, event_id: str) -> str:
    """The id of the delivery of this event to this endpoint."""
    return str(uuid.uuid5(_NAMESPACE, f"{tenant}\n{endpoint_id}\n{event_id}"))


class FanOutHandler:
    """Writes deliveries, for many announcements at once."""

    batch_max = 50

    def __init__(
        self, database: Database, clock: Clock, source: str = "/billfleet/webhooks"
    ) -> None:
        self._database = database
        self._clock = clock
        self._source = source
        self._prune_at_s = clock.monotonic() + PRUNE_EVERY_S

    async def handle_batch(self, works: Sequence[Work]) -> Sequence[Finished | Exception]:
        """Record what each announcement is to be told to, in one transaction for all.

        Raises:
            Unavailable: PostgreSQL can't be reached.
            Transient: another transaction was in the way.
        """
        now = self._clock.now()
        envelopes = [work.envelope for work in works]
        async with transaction(self._database) as connection:
            known = await webhooks.open_endpoints(
                connection, [envelope.tenant for envelope in envelopes]
            )
            by_tenant: dict[str, list[Endpoint]] = defaultdict(list)
            for endpoint in known:
                by_tenant[endpoint.tenant_id].append(endpoint)
            told = [_deliveries(envelope, by_tenant) for envelope in envelopes]
            new = await webhook_deliveries.add(
                connection, [one for deliveries in told for one in deliveries], now=now
            )
            rows = [
                self._row(one, envelope, now)
                for envelope, deliveries in zip(envelopes, told, strict=True)
                for one in deliveries
                if one.delivery_id in new
            ]
            await outbox.add_new(connection, rows)
            await self._prune_sometimes(connection, now)
        return [Finished({"endpoints": len(deliveries)}) for deliveries in told]

    def _row(self, delivery: NewDelivery, envelope: Envelope, now: datetime) -> outbox.NewOutboxRow:
        return outbox_row(
            DeliverWebhook(endpoint_id=delivery.endpoint_id, delivery_id=delivery.delivery_id),
            tenant=delivery.tenant_id,
            source=self._source,
            now=now,
            traceparent=envelope.traceparent,
        )

    async def _prune_sometimes(self, connection: AsyncConnection, now: datetime) -> None:
        if self._clock.monotonic() < self._prune_at_s:
            return
        self._prune_at_s = self._clock.monotonic() + PRUNE_EVERY_S
        await webhook_deliveries.prune(connection, before=now - KEPT, limit=PRUNED_AT_ONCE_MAX)


def _deliveries(
    envelope: Envelope, by_tenant: Mapping[str, Sequence[Endpoint]]
) -> list[NewDelivery]:
    wanting = [
        endpoint for endpoint in by_tenant.get(envelope.tenant, ()) if endpoint.wants(envelope.type)
    ]
    if not wanting:
        return []
    body = body_of(envelope)
    return [
        NewDelivery(
            envelope.tenant,
            delivery_id(envelope.tenant, endpoint.endpoint_id, envelope.id),
            endpoint.endpoint_id,
            envelope.id,
            envelope.type,
            body,
        )
        for endpoint in wanting
    ]
