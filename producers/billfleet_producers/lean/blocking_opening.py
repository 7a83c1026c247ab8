"""Opening the lean way to a service for blocking code.

The twin of `opening`; it loads no event loop. Called by the blocking transport.
"""

from __future__ import annotations

from botocore.session import Session

from billfleet_producers.lean.blocking_wire import BlockingWire
from billfleet_producers.lean.json_service import BlockingJsonService, BlockingTime
from billfleet_producers.lean.places import (
    LeanService,
    Manner,
    find_open_place,
    protocol_of,
    trusted_by,
    wire_arguments,
)


def open_blocking_service(
    session: Session,
    name: LeanService,
    *,
    region: str,
    endpoint_url: str | None,
    manner: Manner,
    clock: BlockingTime,
) -> BlockingJsonService | None:
    """As `open_service`, for blocking code."""
    place = find_open_place(session, name, region, endpoint_url)
    if place is None:
        return None
    trusted = trusted_by(session, place)
    return BlockingJsonService(
        protocol_of(name, place, manner, clock.now),
        credentials=session.get_credentials(),
        wire=BlockingWire(place.url, trusted=trusted, **wire_arguments(manner)),
        clock=clock,
    )
