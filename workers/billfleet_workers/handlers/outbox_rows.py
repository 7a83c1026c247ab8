"""Events of a handler as rows of the outbox, with an identity that a repeat would share.

Handlers call it inside their transaction. The event's id follows from its tenant and its dedupe
key, so the same fact has the same id however often it is stated. Route and group come from the
contract. It knows no particular event.
"""

import uuid
from datetime import datetime

from billfleet_contracts import Event, wrap
from billfleet_db.outbox import NewOutboxRow
from billfleet_producers.outgoing import Outgoing

# Any UUID serves as a namespace as long as it never changes: ids of facts depend on it.
_NAMESPACE = uuid.UUID("b1f1ee70-0b11-4f1e-8e70-b111f1ee7000")


def event_id(tenant: str, dedupe_key: str) -> str:
    """The id of the envelope that carries this piece of work."""
    return str(uuid.uuid5(_NAMESPACE, f"{tenant}\n{dedupe_key}"))


def outbox_row(
    event: Event,
    *,
    tenant: str,
    source: str,
    now: datetime,
    traceparent: str | None,
    dedupe_key: str | None = None,
) -> NewOutboxRow:
    """The row that makes the event leave when the transaction commits."""
    dedupe_key = dedupe_key or event.default_dedupe_key()
    envelope = wrap(
        event,
        tenant=tenant,
        source=source,
        now=now,
        id=event_id(tenant, dedupe_key),
        dedupe_key=dedupe_key,
        traceparent=traceparent,
    )
    leaving = Outgoing.from_envelope(envelope)
    return NewOutboxRow(
        tenant_id=tenant,
        event_id=envelope.id,
        event_type=envelope.type,
        route_kind=leaving.route.kind,
        route_name=leaving.route.name,
        group_id=leaving.group_id,
        dedupe_key=dedupe_key,
        body=leaving.body,
    )
