"""Opening the lean way to a service for an event loop.

Called by whoever makes lean clients; `blocking_opening` is its twin. What may ask the network or
takes long is done in a thread.
"""

from __future__ import annotations

import asyncio

from botocore.session import Session

from billfleet_producers.lean.credentials import ThreadedCredentials
from billfleet_producers.lean.json_service import JsonService, Time
from billfleet_producers.lean.places import (
    LeanService,
    Manner,
    find_open_place,
    protocol_of,
    trusted_by,
    wire_arguments,
)
from billfleet_producers.lean.wire import Wire


async def open_service(
    session: Session,
    name: LeanService,
    *,
    region: str,
    endpoint_url: str | None,
    manner: Manner,
    clock: Time,
) -> JsonService | None:
    """The service, unless a proxy stands before it. Nothing is asked of it yet.

    Raises:
        BotoCoreError, ValueError: the configuration of AWS is wrong.
    """
    place = find_open_place(session, name, region, endpoint_url)
    if place is None:
        return None
    credentials = await ThreadedCredentials.find(session)
    # Tens of milliseconds: not on the event loop.
    trusted = await asyncio.to_thread(trusted_by, session, place)
    return JsonService(
        protocol_of(name, place, manner, clock.now),
        credentials=credentials,
        wire=Wire(place.url, trusted=trusted, **wire_arguments(manner)),
        clock=clock,
    )
