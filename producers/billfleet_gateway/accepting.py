"""Accepting work: an event goes into the outbox, in the transaction of the request.

Routes call it. The relay sends it when the queue can be reached, so work is kept even while SQS is
away. The work's id follows from its tenant and dedupe key: the same work asked for twice is one
piece of work with one id, and the same key with other content is refused.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import ContractError, Envelope, Event, decode, payload_hash, wrap
from billfleet_contracts.fields import TRACEPARENT_PATTERN
from billfleet_db import outbox
from billfleet_db.outbox import NewOutboxRow
from billfleet_gateway.answers import Asked
from billfleet_gateway.credentials import Caller
from billfleet_gateway.problems import Problem
from billfleet_producers.outgoing import Outgoing

SOURCE: Final = "/billfleet/gateway"
# Any UUID serves as a namespace as long as it never changes: ids of work depend on it.
_NAMESPACE: Final = uuid.UUID("6a7e3a11-d00f-4d00-8a11-6a7e3a11d00f")


def work_id(tenant: str, dedupe_key: str) -> str:
    """The id of the envelope that carries this piece of work."""
    return str(uuid.uuid5(_NAMESPACE, f"{tenant}\n{dedupe_key}"))


async def accept(
    connection: AsyncConnection, asked: Asked, caller: Caller, events: Sequence[Event]
) -> tuple[list[str], frozenset[str]]:
    """Put events into the outbox; their work ids in order, and those that are new.

    Raises:
        Problem: an event's dedupe key is known with other content.
    """
    envelopes = [_wrapped(event, asked, caller) for event in events]
    by_id: dict[str, Envelope] = {}
    for envelope in envelopes:
        twin = by_id.setdefault(envelope.id, envelope)
        if twin is not envelope and payload_hash(twin) != payload_hash(envelope):
            raise _differs()
    new = await outbox.add_new(connection, [_row(envelope) for envelope in by_id.values()])
    await _refuse_other_content(connection, caller, by_id, new)
    return [envelope.id for envelope in envelopes], new


def _wrapped(event: Event, asked: Asked, caller: Caller) -> Envelope:
    dedupe_key = event.default_dedupe_key()
    trace = asked.traceparent
    try:
        return wrap(
            event,
            tenant=caller.tenant,
            source=SOURCE,
            now=asked.door.now(),
            id=work_id(caller.tenant, dedupe_key),
            dedupe_key=dedupe_key,
            traceparent=trace if trace and re.fullmatch(TRACEPARENT_PATTERN, trace) else None,
        )
    except ContractError as error:
        raise Problem("invalid", f"{error.reason} (at {error.where})") from None


def _row(envelope: Envelope) -> NewOutboxRow:
    leaving = Outgoing.from_envelope(envelope)
    return NewOutboxRow(
        tenant_id=envelope.tenant,
        event_id=envelope.id,
        event_type=envelope.type,
        route_kind=leaving.route.kind,
        route_name=leaving.route.name,
        group_id=leaving.group_id,
        dedupe_key=envelope.dedupekey,
        body=leaving.body,
    )


async def _refuse_other_content(
    connection: AsyncConnection,
    caller: Caller,
    by_id: dict[str, Envelope],
    new: frozenset[str],
) -> None:
    repeated = sorted(by_id.keys() - new)
    if not repeated:
        return
    for event_id, row in (await outbox.find(connection, caller.tenant, repeated)).items():
        if payload_hash(decode(row.body)) != payload_hash(by_id[event_id]):
            raise _differs()


def _differs() -> Problem:
    return Problem("conflict", "The id of this work was used for other work before.")
