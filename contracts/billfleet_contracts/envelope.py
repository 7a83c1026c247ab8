"""The envelope: an event with its identity, version, tenant and trace, as CloudEvents 1.0 JSON.

Made by `codec.wrap` and `codec.decode`; read by the runtime, handlers and the producer library.
It must not know routes or transports. Attribute names are CloudEvents' own; `tenant` and
`dedupekey` are extensions (lower case, no separators, as the specification asks).
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, SerializeAsAny

from billfleet_contracts.event import Event
from billfleet_contracts.fields import (
    Printable128,
    Printable255,
    TenantId,
    Traceparent,
    UtcDatetime,
)

SCHEMA_URN = "urn:billfleet:schema:"


class Envelope(BaseModel):
    """One event on its way. Frozen; two envelopes are equal when all their attributes are.

    Attributes:
        id: unique per `source`; what an operator searches for. At most 128 printable characters.
        source: who produced it, such as `/shop/checkout`.
        type: the event's full type with its version, after upcasting.
        time: when it was produced, aware UTC.
        tenant: whose work it is.
        dedupekey: what makes two deliveries the same work, within the tenant.
        traceparent: W3C Trace Context of the producer's span, or None.
    """

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True)

    specversion: Literal["1.0"] = "1.0"
    id: Printable128
    source: Printable255
    type: Printable255
    subject: Printable255 | None = None
    time: UtcDatetime
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: Printable255
    traceparent: Traceparent | None = None
    tenant: TenantId
    dedupekey: Printable128
    data: SerializeAsAny[Event]

    def __eq__(self, other: object) -> bool:
        """Compare by attributes: the codec reads each type into a class of its own."""
        if not isinstance(other, Envelope):
            return NotImplemented
        return self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((self.source, self.id))
