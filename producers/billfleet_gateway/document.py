"""The OpenAPI 3.1 document, and `python -m billfleet_gateway.document [--check]` that keeps it.

The application serves it and the repository holds it, so that a change of the interface shows in
review. FastAPI writes it from the routes; here problems take the place of its own errors.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from billfleet_gateway.problems import KINDS, MEDIA_TYPE, ProblemDetails, Slug

TITLE: Final = "billfleet"
VERSION: Final = "1"
PATH: Final = Path(__file__).parent / "openapi.json"
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


def render() -> str:
    """The document as the repository holds it."""
    from billfleet_gateway.app import create_app
    from billfleet_gateway.door import Door, Options

    # Describing asks for no part of the door but its options.
    absent = cast("Any", None)
    door = Door(absent, absent, absent, absent, Options())
    return json.dumps(describe(create_app(door)), indent=2, sort_keys=True) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when the file is as the routes say; it is written unless `--check` is given."""
    parser = argparse.ArgumentParser(prog="python -m billfleet_gateway.document")
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    options = parser.parse_args(arguments)
    text = render()
    if PATH.exists() and PATH.read_text("utf-8") == text:
        return 0
    if options.check:
        sys.stderr.write("openapi.json is out of date: run `make schemas` and commit it.\n")
        return 1
    PATH.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
