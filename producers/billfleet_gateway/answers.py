"""Answering a POST once: the effect, and the first answer to its Idempotency-Key, together.

Routes hand `once` what to do. Key, effect and answer are one transaction: after a crash all are
there or none is, a request that comes meanwhile with the same key waits, and one that comes later
is told what the first was told. Only success is kept, so that a refused request may be mended and
sent again. It must not know what any effect is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts.fields import PRINTABLE_PATTERN
from billfleet_db import front_door
from billfleet_gateway.credentials import Caller
from billfleet_gateway.door import Door, TheDoor
from billfleet_gateway.problems import Problem

JSON: Final = "application/json"
REPLAYED: Final = "Idempotency-Replayed"


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer: its status, its body, and where the thing is."""

    status: int
    body: BaseModel
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A POST with what makes two of it the same: its key, and a hash of the rest."""

    door: Door
    key: str | None
    request_hash: bytes
    traceparent: str | None


async def _asked(
    request: Request,
    door: TheDoor,
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="Any string of yours: a request sent again with it is answered as before.",
            pattern=PRINTABLE_PATTERN,
            max_length=255,
        ),
    ] = None,
) -> Asked:
    said = f"{request.method} {request.url.path}\n".encode() + await request.body()
    digest = hashlib.sha256(said).digest()
    return Asked(door, key, digest, request.headers.get("traceparent"))


Once = Annotated[Asked, Depends(_asked)]


async def once(
    asked: Asked, caller: Caller, effect: Callable[[AsyncConnection], Awaitable[Answer]]
) -> Response:
    """Run the effect in a transaction of the caller's tenant, or repeat the first answer.

    Raises:
        Problem: the key belongs to another request, or what the effect raises; nothing is kept.
    """
    async with asked.door.of_tenant(caller.tenant) as connection:
        if asked.key is not None:
            first = await front_door.begin_once(
                connection,
                caller.tenant,
                asked.key,
                asked.request_hash,
                now=asked.door.now(),
            )
            if first is not None:
                return _repeated(first, asked)
        answer = await effect(connection)
        body = answer.body.model_dump_json()
        if asked.key is not None:
            await front_door.keep_answer(
                connection,
                caller.tenant,
                asked.key,
                status=answer.status,
                answer=body,
                location=answer.location,
            )
    return _response(answer.status, body, answer.location)


def shown(body: BaseModel) -> Response:
    """An answer to a GET, written as it is: it was made from the database, not from a caller."""
    return Response(body.model_dump_json(), media_type=JSON)


def _repeated(first: front_door.FirstAnswer, asked: Asked) -> Response:
    if first.request_hash != asked.request_hash:
        raise Problem("key-reused", "This Idempotency-Key was sent with another request before.")
    response = _response(first.status, first.answer, first.location)
    response.headers[REPLAYED] = "true"
    return response


def _response(status: int, body: str, location: str | None) -> Response:
    headers = {} if location is None else {"Location": location}
    return Response(body, status, headers=headers, media_type=JSON)
