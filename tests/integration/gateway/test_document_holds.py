"""Schemathesis over the whole document: whatever is sent, no 500, and only what is promised."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from billfleet_db import Database
from billfleet_gateway.openapi_file import PATH
from fixtures_postgres import Cluster
from gateway_world import FrontDoor
from live_door import listening

DOCUMENT = json.loads(PATH.read_text("utf-8"))
OPERATIONS = [
    (method, path) for path, operations in DOCUMENT["paths"].items() for method in operations
]
EXAMPLES_MAX = 10
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


@pytest.fixture(scope="module")
def live(postgres_cluster: Cluster) -> Iterator[tuple[str, str]]:
    """A listening door before a database of its own, and a key that opens it."""
    name = "test_document_holds"
    postgres_cluster.say(f"CREATE DATABASE {name} TEMPLATE template_billfleet STRATEGY FILE_COPY")
    key = asyncio.run(_seeded(postgres_cluster, name))
    with listening(postgres_cluster.gateway_url(name)) as url:
        yield url, key
    postgres_cluster.say(f"DROP DATABASE {name} WITH (FORCE)")


async def _seeded(cluster: Cluster, name: str) -> str:
    inside, outside = (
        Database.connect(url, pool_size=1)
        for url in (cluster.app_url(name), cluster.gateway_url(name))
    )
    front = FrontDoor(inside, outside)
    await front.seed()
    await inside.close()
    await outside.close()
    return front.keys["acme"]


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda part: part)
def test_whatever_is_sent_is_answered_as_the_document_says(
    live: tuple[str, str], method: str, path: str
) -> None:
    url, key = live
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    operation: Any = schema[path][method.upper()]

    @settings(
        max_examples=EXAMPLES_MAX,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def answered(case: Any) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        response = case.call(base_url=url, headers=headers)
        case.validate_response(response, checks=CHECKS, headers=headers)

    answered()
