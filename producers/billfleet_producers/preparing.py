"""From an event to a message that is ready to leave. Shared by every producer.

Pure apart from the clock, the id factory and the trace context, which come in as arguments. It
must not know AWS.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from billfleet_contracts import Event, wrap
from billfleet_producers.outgoing import Outgoing
from billfleet_producers.tracing import current_traceparent

Sendable = Outgoing | tuple[Event, str]


def utc_now() -> datetime:
    """The system's clock."""
    return datetime.now(UTC)


def random_id() -> str:
    """A random UUID."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a producer puts on every envelope."""

    source: str
    clock: Callable[[], datetime] = utc_now
    new_id: Callable[[], str] = random_id
    traceparent: Callable[[], str | None] = current_traceparent

    def prepare(
        self,
        event: Event,
        *,
        tenant: str,
        dedupe_key: str | None = None,
        traceparent: str | None = None,
    ) -> Outgoing:
        """Wrap and encode one event."""
        envelope = wrap(
            event,
            tenant=tenant,
            source=self.source,
            now=self.clock(),
            id=self.new_id(),
            dedupe_key=dedupe_key,
            traceparent=traceparent or self.traceparent(),
        )
        return Outgoing.from_envelope(envelope)

    def prepare_all(self, items: Iterable[Sendable]) -> list[Outgoing]:
        """Wrap what is still an event and its tenant; pass on what is ready."""
        return [
            item if isinstance(item, Outgoing) else self.prepare(item[0], tenant=item[1])
            for item in items
        ]
