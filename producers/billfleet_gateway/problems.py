"""Everything that can be wrong with a request, as RFC 9457 problem details.

Routes raise `Problem`; `app` turns it, and whatever else goes wrong, into a response. A problem's
type is the address of a page of this server that says what to do. No problem repeats a value of
the request, which may be personal data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from fastapi import HTTPException, Response
from pydantic import BaseModel

MEDIA_TYPE: Final = "application/problem+json"

Slug = Literal[
    "malformed",
    "bad-cursor",
    "unauthenticated",
    "forbidden",
    "not-found",
    "method-not-allowed",
    "timeout",
    "conflict",
    "in-progress",
    "gone",
    "too-large",
    "unsupported-type",
    "invalid",
    "key-reused",
    "too-many-requests",
    "defect",
    "unavailable",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its status, its title, and what to do about it."""

    status: int
    title: str
    remedy: str


KINDS: Final[Mapping[Slug, Kind]] = {
    "malformed": Kind(400, "The request cannot be read", "Send JSON as the document describes."),
    "bad-cursor": Kind(
        400, "The cursor is not one of this list", "Begin without a cursor; use `next` unchanged."
    ),
    "unauthenticated": Kind(
        401, "Nobody is known by these credentials", "Send a valid key as a bearer token."
    ),
    "forbidden": Kind(403, "The key may not do this", "Use a key with the scope that is named."),
    "not-found": Kind(404, "There is no such thing", "Check the address and whose key this is."),
    "method-not-allowed": Kind(
        405, "This address has no such method", "Use a method of the Allow header."
    ),
    "timeout": Kind(408, "The request took too long to arrive", "Send it again, faster."),
    "conflict": Kind(
        409, "It contradicts what is there", "Read what is there; use another id for another thing."
    ),
    "in-progress": Kind(
        409, "The same request is being answered", "Wait a moment and send it again unchanged."
    ),
    "gone": Kind(410, "It was here and is no longer", "Ask for a new one."),
    "too-large": Kind(413, "The body is too large", "Send less at once; the detail says how much."),
    "unsupported-type": Kind(415, "The body has the wrong media type", "Send application/json."),
    "invalid": Kind(422, "The request breaks its schema", "Correct the fields that are listed."),
    "key-reused": Kind(
        422, "The Idempotency-Key belongs to another request", "Use a new key for a new request."
    ),
    "too-many-requests": Kind(
        429, "Too many requests", "Wait as long as Retry-After says; send batches."
    ),
    "defect": Kind(500, "The server made a mistake", "Tell us the request_id; it is in our log."),
    "unavailable": Kind(
        503, "Something that this needs does not answer", "Send it again after Retry-After."
    ),
}


class FieldProblem(BaseModel):
    """One field that breaks its schema."""

    where: str
    reason: str


class ProblemDetails(BaseModel):
    """RFC 9457, with the request's id and, where the schema is broken, the fields."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FieldProblem] | None = None


class Problem(HTTPException):
    """Something is wrong with the request, or with us; the caller is told in these words."""

    def __init__(
        self,
        slug: Slug,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldProblem] = (),
    ) -> None:
        super().__init__(KINDS[slug].status, detail=detail, headers=dict(headers or {}))
        self.slug: Slug = slug
        self.errors = list(errors)


def not_found(what: str) -> Problem:
    """There is no such thing of this tenant; another's is as if it were not there."""
    return Problem("not-found", f"There is no such {what}.")


def unavailable(what: str, retry_after_s: int) -> Problem:
    """Something that the request needs is away."""
    return Problem(
        "unavailable",
        f"{what} does not answer; nothing was done.",
        headers={"Retry-After": str(retry_after_s)},
    )


def problem_response(problem: Problem, request_id: str) -> Response:
    """The response that says so."""
    kind = KINDS[problem.slug]
    body: dict[str, object] = {
        "type": f"/problems/{problem.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
        "request_id": request_id,
    }
    if problem.errors:
        body["errors"] = [error.model_dump() for error in problem.errors]
    # In ASCII, because a field's name may hold what UTF-8 cannot.
    return Response(
        json.dumps(body), kind.status, headers=problem.headers or {}, media_type=MEDIA_TYPE
    )
