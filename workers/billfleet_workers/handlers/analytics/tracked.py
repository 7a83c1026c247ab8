"""What arrives becomes one shape: who, when, where, how much. Pure.

The handler calls it with an envelope. `EventTracked` says it in so many words; of the fleet's own
facts the usual fields are taken and the rest are properties, so a fact that is announced tomorrow
is counted without a change here. It knows no tenant's policy and no table.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from billfleet_contracts import Envelope, Event, EventTracked

SubjectKind = Literal["account", "card"]


@dataclass(frozen=True, slots=True)
class Tracked:
    """An event of a tenant as analytics sees it. `owner` says whose it is where it does not."""

    tenant_id: str
    source: str
    event_id: str
    payload_hash: str
    name: str
    occurred_at: datetime
    customer_id: str | None
    brand_id: str
    store_id: str
    amount_minor: int | None
    currency: str
    properties: str
    owner: tuple[SubjectKind, str] | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes another one the same event."""
        return (self.tenant_id, self.source, self.event_id)


def tracked(envelope: Envelope) -> Tracked:
    """The envelope's event as analytics sees it."""
    event = envelope.data
    return _said(envelope, event) if isinstance(event, EventTracked) else _fact(envelope, event)


def _said(envelope: Envelope, event: EventTracked) -> Tracked:
    return Tracked(
        tenant_id=envelope.tenant,
        source=event.source,
        event_id=event.event_id,
        payload_hash=_hash(event.canonical_data()),
        name=event.name,
        occurred_at=event.occurred_at,
        customer_id=event.customer_id,
        brand_id=event.brand_id or "",
        store_id=event.store_id or "",
        amount_minor=event.amount_minor,
        currency=event.currency or "",
        properties=_canonical(event.properties),
    )


def _fact(envelope: Envelope, event: Event) -> Tracked:
    """A fact of the fleet: its envelope's id and source tell it apart, and never meet a front
    end's, whose sources begin with a letter."""
    data = event.model_dump(mode="json")
    amount_minor, currency = data.pop("amount_minor", None), data.pop("currency", None)
    if not isinstance(amount_minor, int) or not isinstance(currency, str):
        amount_minor, currency = None, ""
    taken = {name: data.pop(name, None) for name in ("customer_id", "brand_id", "store_id")}
    occurred_at = getattr(event, "occurred_at", None)
    return Tracked(
        tenant_id=envelope.tenant,
        source=envelope.source,
        event_id=envelope.id,
        payload_hash=_hash(event.canonical_data()),
        name=event.short_name(),
        occurred_at=occurred_at if isinstance(occurred_at, datetime) else envelope.time,
        customer_id=_text(taken["customer_id"]) or None,
        brand_id=_text(taken["brand_id"]),
        store_id=_text(taken["store_id"]),
        amount_minor=amount_minor,
        currency=currency,
        properties=_canonical({name: value for name, value in data.items() if value is not None}),
        owner=_owner(data),
    )


def _owner(data: Mapping[str, object]) -> tuple[SubjectKind, str] | None:
    kinds: tuple[SubjectKind, ...] = ("account", "card")
    for kind in kinds:
        if isinstance(subject := data.get(f"{kind}_id"), str):
            return kind, subject
    return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _canonical(value: Mapping[str, object]) -> str:
    # PostgreSQL's jsonb refuses the one character that JSON can spell and its text can't hold.
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)
    return plain.replace("\\u0000", "\\ufffd")


def _hash(value: Mapping[str, object]) -> str:
    return hashlib.sha256(_canonical(value).encode()).hexdigest()
