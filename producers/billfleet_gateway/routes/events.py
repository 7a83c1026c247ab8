"""Events to be counted: up to a hundred a request, each of them once."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import EventTracked
from billfleet_gateway.accepting import accept
from billfleet_gateway.answers import Answer, Once, once
from billfleet_gateway.callers import Needs
from billfleet_gateway.credentials import Caller
from billfleet_gateway.fields import Closed, View

router = APIRouter(prefix="/v1/events", tags=["events"])
Writer = Annotated[Caller, Depends(Needs("events:write"))]


class EventsGiven(Closed):
    """Events of a front end. `event_id` is unique within `source`, for ever."""

    events: Annotated[list[EventTracked], Field(min_length=1, max_length=100)]


class EventsAccepted(View):
    """How many are new, how many were known, and the ids of the work, in the order given."""

    accepted: int
    known: int
    work: list[str]


@router.post("", status_code=202, response_model=EventsAccepted)
async def send_events(
    body: Annotated[EventsGiven, Body()], caller: Writer, asked: Once
) -> Response:
    """Send events. What was sent before is not counted again."""

    async def send(connection: AsyncConnection) -> Answer:
        ids, new = await accept(connection, asked, caller, body.events)
        return Answer(202, EventsAccepted(accepted=len(new), known=len(ids) - len(new), work=ids))

    return await once(asked, caller, send)
