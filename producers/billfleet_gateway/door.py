"""What every request has at hand: the database, the clock, the options, and the ports.

`billfleet gateway` makes one; routes get it from the application. Transactions of a tenant begin
here, and nowhere else, so that row security is never forgotten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db import Database, front_door
from billfleet_gateway.ports import FileStore, PaymentNotices, WorkRecords
from billfleet_gateway.tokens import TokenCheck


@dataclass(frozen=True, slots=True)
class Options:
    """How the front door is run. Sizes and times have their units in the names."""

    public_url: str = "http://127.0.0.1:8080"
    link_secrets: tuple[str, ...] = ()
    body_bytes_max: int = 1024 * 1024
    body_timeout_s: float = 10.0
    requests_per_s: float = 100.0
    burst: int = 200
    strangers_per_s: float = 5.0
    """Requests without a valid key or token that one address may make."""
    key_cache_s: float = 5.0
    """For so long a revoked key may still open the door."""
    retry_after_s: int = 5
    streams_max: int = 200
    stream_s: float = 300.0
    stream_look_s: float = 1.0
    first_answers_kept: timedelta = timedelta(hours=24)


@dataclass(slots=True)
class Door:
    """The parts of one running front door."""

    database: Database
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    options: Options
    records: WorkRecords | None = None
    files: FileStore | None = None
    tokens: TokenCheck | None = None
    notices: PaymentNotices | None = None
    streams: Counter[str] = field(default_factory=Counter)
    """Open streams of events, by tenant."""

    @asynccontextmanager
    async def of_tenant(self, tenant: str) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees this tenant's rows and no others."""
        async with self.database.transaction() as connection:
            await front_door.see_tenant(connection, tenant)
            yield connection


def door_of(request: Request) -> Door:
    """The door that a request came through."""
    door: Door = request.app.state.door
    return door


TheDoor = Annotated[Door, Depends(door_of)]
