"""`Outbox.enqueue`: an event becomes a row in the caller's transaction.

Called by the service's own code, between its own statements. Whether the transaction commits is
the caller's matter, and with it whether the work is enqueued. It sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from billfleet_contracts import Event
from billfleet_outbox.tables import OutboxTables
from billfleet_producers.preparing import Preparation, random_id, utc_now


class Outbox:
    """Writes events into the outbox.

    Args:
        tables: from `OutboxTables.add_to`.
        source: who you are, such as `/shop/checkout`; it goes on every envelope.
        clock: the time for envelopes, aware.
        new_id: makes envelope ids.

    Example:
        >>> with Session(engine) as session, session.begin():
        ...     session.add(order)
        ...     outbox.enqueue(session, event, tenant="acme")
    """

    def __init__(
        self,
        tables: OutboxTables,
        *,
        source: str,
        clock: Callable[[], datetime] = utc_now,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        self._rows = tables.rows
        self._clock = clock
        self._preparation = Preparation(source, clock, new_id)

    def enqueue(
        self,
        session: Session | Connection,
        event: Event,
        *,
        tenant: str,
        dedupe_key: str | None = None,
        traceparent: str | None = None,
    ) -> str:
        """Add the event to the caller's transaction; arguments as for `Producer.send`.

        Returns:
            The envelope's id, by which the fleet and its logs name the work.

        Raises:
            ContractError: the event or an argument breaks the contract.
        """
        row = self._row(event, tenant, dedupe_key, traceparent)
        session.execute(insert(self._rows).values(row))
        return str(row["event_id"])

    async def enqueue_async(
        self,
        session: AsyncSession | AsyncConnection,
        event: Event,
        *,
        tenant: str,
        dedupe_key: str | None = None,
        traceparent: str | None = None,
    ) -> str:
        """As `enqueue`, for async sessions and connections."""
        row = self._row(event, tenant, dedupe_key, traceparent)
        await session.execute(insert(self._rows).values(row))
        return str(row["event_id"])

    def _row(
        self, event: Event, tenant: str, dedupe_key: str | None, traceparent: str | None
    ) -> dict[str, Any]:
        message = self._preparation.prepare(
            event, tenant=tenant, dedupe_key=dedupe_key, traceparent=traceparent
        )
        return {
            "event_id": message.event_id,
            "tenant": tenant,
            "event_type": event.TYPE,
            "route_kind": message.route.kind,
            "route_name": message.route.name,
            "group_id": message.group_id,
            "deduplication_id": message.deduplication_id,
            "body": message.body,
            "created_at": self._clock(),
            "refusals": 0,
        }
