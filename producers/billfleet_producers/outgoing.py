"""A message ready to leave: its body, its route, and the ids that the queue asks for.

Made by the producers' `prepare` from events, and by an outbox relay from stored bodies. Pure: it
must not know AWS clients. Group and deduplication ids follow the contract's queue settings here
and nowhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from billfleet_contracts import (
    QUEUES,
    TOPICS,
    Envelope,
    QueueSpec,
    Route,
    TopicSpec,
    encode,
    route_of,
)
from billfleet_contracts.claim_check import SIZE_ATTRIBUTE

GROUP_ID_CHARS_MAX = 128


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message as it will be handed to SQS or SNS.

    Attributes:
        event_id: the envelope's id; what reports and logs name it by.
        route: the queue or topic, by its logical name.
        body: the encoded envelope.
        group_id: MessageGroupId; on standard queues it gives each tenant its fair share.
        deduplication_id: MessageDeduplicationId; set for FIFO queues and topics only.
        event_type: the full type. Topics carry it as the message attribute `type`, so that
            subscriptions can filter on it.
        left_body_bytes: the size of the body that was left in S3, where `body` is a pointer.
        size_bytes: what AWS counts: the body, and each attribute's name, data type and value, in
            UTF-8.
    """

    event_id: str
    route: Route
    body: str
    group_id: str | None = None
    deduplication_id: str | None = None
    event_type: str | None = None
    left_body_bytes: int | None = None
    size_bytes: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size_bytes", self._count_bytes())

    @classmethod
    def from_envelope(
        cls, envelope: Envelope, *, spec: QueueSpec | TopicSpec | None = None
    ) -> Self:
        """Encode an envelope and take route and ids from the contract.

        Args:
            envelope: what to send.
            spec: another queue or topic than the catalogue's, such as one of your own stack.
        """
        if spec is None:
            route = route_of(envelope.type)
            spec = QUEUES[route.name] if route.kind == "queue" else TOPICS[route.name]
        else:
            route = Route("queue" if isinstance(spec, QueueSpec) else "topic", spec.name)
        return cls(
            event_id=envelope.id,
            route=route,
            body=encode(envelope),
            group_id=_group_id(envelope, spec),
            deduplication_id=_deduplication_id(envelope) if spec.fifo else None,
            event_type=envelope.type,
        )

    @classmethod
    def from_body(
        cls,
        body: str,
        *,
        route: Route,
        group_id: str | None,
        event_id: str,
        deduplication_id: str | None = None,
        event_type: str | None = None,
    ) -> Self:
        """Take a body that was encoded and stored earlier, as an outbox relay does."""
        return cls(event_id, route, body, group_id, deduplication_id, event_type)

    @property
    def is_fifo(self) -> bool:
        """Whether its order within the group matters."""
        return self.deduplication_id is not None

    @property
    def attributes(self) -> Mapping[str, str | int]:
        """The message attributes: a topic's messages say their type, a pointer what it stands for.

        An int travels as a Number.
        """
        found: dict[str, str | int] = {}
        if self.route.kind == "topic" and self.event_type:
            found["type"] = self.event_type
        if self.left_body_bytes is not None:
            found[SIZE_ATTRIBUTE] = self.left_body_bytes
        return found

    def _count_bytes(self) -> int:
        size = len(self.body.encode())
        for name, value in self.attributes.items():
            size += len(name.encode()) + len("String") + len(str(value).encode())
        return size


def _group_id(envelope: Envelope, spec: QueueSpec | TopicSpec) -> str:
    if spec.group == "tenant" or envelope.subject is None:
        return envelope.tenant
    group = f"{envelope.tenant}:{envelope.subject}"
    return group if len(group) <= GROUP_ID_CHARS_MAX else _digest(group)


def _deduplication_id(envelope: Envelope) -> str:
    # The dedupe key is unique within its tenant only, and SQS compares ids across the queue.
    return _digest(f"{envelope.tenant}\n{envelope.dedupekey}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
