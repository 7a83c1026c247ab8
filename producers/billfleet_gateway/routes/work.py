"""What became of work: once, or as it happens (server-sent events)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Response
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.types import Receive, Scope, Send

from billfleet_db.errors import DatabaseError
from billfleet_gateway.answers import Answer, shown
from billfleet_gateway.becoming import Became, State, became
from billfleet_gateway.callers import Needs
from billfleet_gateway.credentials import Caller
from billfleet_gateway.door import Door, TheDoor
from billfleet_gateway.fields import View
from billfleet_gateway.problems import Problem, not_found

router = APIRouter(prefix="/v1/work", tags=["work"])
Reader = Annotated[Caller, Depends(Needs("work:read"))]
WorkId = Annotated[str, Path(pattern=r"^[\x21-\x7e]{1,128}$")]
END = "end"


class WorkAccepted(View):
    """Work that was accepted. It is kept, and done, even while the queue is away."""

    work_id: str
    state: State = "accepted"


class WorkView(View):
    """What became of work by now; after `done`, `refused` or `failed` nothing more will."""

    work_id: str
    type: str | None
    state: State
    accepted_at: datetime | None
    queued_at: datetime | None
    ended_at: datetime | None
    reason: str | None
    outcome: dict[str, int | str] | None


def accepted(work_id: str) -> Answer:
    """The answer to a request that became work."""
    return Answer(202, WorkAccepted(work_id=work_id), f"/v1/work/{work_id}")


@router.get("/{work_id}", response_model=WorkView)
async def get_work(work_id: WorkId, caller: Reader, door: TheDoor) -> Response:
    """What became of it by now."""
    now = await became(door, caller.tenant, work_id)
    if now is None:
        raise not_found("work")
    return shown(_view(now))


@router.get(
    "/{work_id}/events",
    response_class=EventSourceResponse,
    responses={
        200: {
            "description": "An event `work` at every change, with a WorkView as data.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        204: {"description": "The end was told already: do not connect again."},
    },
)
async def stream_work(
    work_id: WorkId,
    caller: Reader,
    door: TheDoor,
    last: Annotated[str | None, Header(alias="Last-Event-ID", max_length=64)] = None,
) -> Response:
    """What becomes of it, as it happens, until its end."""
    if last == END:
        return Response(status_code=204)
    now = await became(door, caller.tenant, work_id)
    if now is None:
        raise not_found("work")
    most = door.options.streams_max
    # The last quarter is for others than the one who has all the rest.
    if door.streams.total() >= most or door.streams[caller.tenant] >= most - most // 4:
        raise Problem("unavailable", "Too many streams are open.", headers={"Retry-After": "10"})
    return _Stream(door, caller.tenant, now)


class _Stream(EventSourceResponse):
    """A stream that has a place from before it begins until it has ended, however it ends."""

    def __init__(self, door: Door, tenant: str, now: Became) -> None:
        super().__init__(_changes(door, tenant, now), ping=15)
        self._door, self._tenant = door, tenant
        door.streams[tenant] += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream, and give the place back."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._door.streams[self._tenant] -= 1


async def _changes(door: Door, tenant: str, now: Became) -> AsyncIterator[ServerSentEvent]:
    until_s = door.monotonic() + door.options.stream_s
    yield _event(now)
    while not now.is_end and door.monotonic() < until_s:
        await door.sleep(door.options.stream_look_s)
        try:
            later = await became(door, tenant, now.work_id)
        except DatabaseError:
            # The stream outlives an outage; it tells more when there is more to tell.
            continue
        if later is not None and later != now:
            now = later
            yield _event(now)


def _event(now: Became) -> ServerSentEvent:
    return ServerSentEvent(
        data=_view(now).model_dump_json(), event="work", id=END if now.is_end else now.state
    )


def _view(now: Became) -> WorkView:
    return WorkView(
        work_id=now.work_id,
        type=now.type,
        state=now.state,
        accepted_at=now.accepted_at,
        queued_at=now.queued_at,
        ended_at=now.ended_at,
        reason=now.reason,
        outcome=None if now.outcome is None else dict(now.outcome),
    )
