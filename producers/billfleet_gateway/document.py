"""The OpenAPI 3.1 document: what FastAPI writes from the routes, with problems in it.

The application serves it; `openapi_file` keeps it in the repository. It knows no route.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from billfleet_gateway.problems import KINDS, MEDIA_TYPE, ProblemDetails, Slug

TITLE: Final = "billfleet"
VERSION: Final = "1"
_ABOUT: Final = """Enqueue billing and loyalty work, and hear what became of it.

Work is accepted with 202 and an id: `GET /v1/work/{id}` says what became of it, and
`GET /v1/work/{id}/events` tells it as it happens. What the fleet announces can also be heard by
webhook. Every POST takes an `Idempotency-Key`. Errors are problem details (RFC 9457)."""
_ANY: Final[tuple[Slug, ...]] = ("malformed", "unavailable", "defect")
_AUTHENTICATED: Final[tuple[Slug, ...]] = ("unauthenticated", "forbidden", "too-many-requests")
_WITH_BODY: Final[tuple[Slug, ...]] = (
    "timeout",
    "in-progress",
    "conflict",
    "too-large",
    "unsupported-type",
    "invalid",
    "not-found",
)


def describe(app: FastAPI) -> dict[str, Any]:
    """The document of this application."""
    document = get_openapi(
        title=app.title, version=app.version, description=_ABOUT, routes=app.routes
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    details = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= details.pop("$defs", {})
    schemas["ProblemDetails"] = details
    for path in document["paths"].values():
        for method, operation in path.items():
            _add_problems(method, operation)
    return document


def _add_problems(method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    slugs: list[Slug] = list(_ANY)
    if "security" in operation:
        slugs += _AUTHENTICATED
    if method == "post" or operation.get("parameters"):
        slugs.append("invalid")
    if method == "post":
        slugs += _WITH_BODY
    if any(one["in"] == "path" for one in operation.get("parameters", ())):
        slugs.append("not-found")
    for slug in slugs:
        _add(responses, slug)


def _add(responses: dict[str, Any], slug: Slug) -> None:
    kind = KINDS[slug]
    said = responses.setdefault(
        str(kind.status),
        {
            "description": kind.title,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        },
    )
    if kind.status in {429, 503}:
        said["headers"] = {
            "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}
        }
