"""Bad input, slow callers, and a database that is away: an answer each, and nothing half done."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from billfleet_db import Database, front_door
from billfleet_gateway import Options
from fixtures_postgres import Cluster
from gateway_requests import ACCOUNT, event
from gateway_world import FrontDoor
from live_door import OPTIONS, listening


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/", 404, "not-found"),
        ("GET", "/v1/nothing", 404, "not-found"),
        ("PUT", "/v1/accounts", 405, "method-not-allowed"),
        ("DELETE", "/v1/work/w", 405, "method-not-allowed"),
    ],
)
async def test_unknown_address_or_method_is_a_problem(
    acme: httpx.AsyncClient, method: str, path: str, status: int, slug: str
) -> None:
    answer = await acme.request(method, path)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{slug}")
    assert answer.headers["content-type"] == "application/problem+json"
    explained = await acme.get(answer.json()["type"])
    assert explained.status_code == 200
    assert answer.json()["title"] in explained.text


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"a":' + b"9" * 5000 + b"}", "application/json", 400),
        (b"[]", "application/json", 422),
        (b"null", "application/json", 422),
        (b'{"account_id": "\\ud800"}', "application/json", 422),
        (b'{"\\ud800": 1}', "application/json", 422),
        (b'{"amount_minor": NaN}', "application/json", 422),
        (b"", "application/json", 422),
        (b"a=b", "application/x-www-form-urlencoded", 415),
        (b"<a/>", "text/xml", 415),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else str(value),
)
async def test_body_that_is_not_what_was_asked_for_is_a_problem(
    acme: httpx.AsyncClient, body: bytes, kind: str, status: int
) -> None:
    answer = await acme.post("/v1/accounts", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_problem_repeats_no_value_of_the_request(acme: httpx.AsyncClient) -> None:
    answer = await acme.post("/v1/accounts", json=ACCOUNT | {"currency": "s3cret"})
    assert answer.status_code == 422
    assert "s3cret" not in answer.text
    assert answer.json()["errors"][0]["where"] == "body.currency"


async def test_request_id_of_the_caller_is_kept_where_it_is_one(acme: httpx.AsyncClient) -> None:
    kept = await acme.get("/livez", headers={"X-Request-Id": "trace-1"})
    assert kept.headers["x-request-id"] == "trace-1"
    made = await acme.get("/livez", headers={"X-Request-Id": "<script>"})
    assert made.headers["x-request-id"] != "<script>"


async def test_body_above_the_limit_is_refused_whether_it_says_so_or_not(
    front: FrontDoor,
) -> None:
    front.with_options(body_bytes_max=1000)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    async with front.client() as acme:
        said = await acme.post("/v1/events", content=b"x" * 1001)
        streamed = await acme.post("/v1/events", content=pieces())
        taken = await acme.post("/v1/events", json={"events": [event(1)]})
    assert [said.status_code, streamed.status_code, taken.status_code] == [413, 413, 202]


async def test_defect_is_answered_without_a_traceback(front: FrontDoor) -> None:
    async def broken() -> None:
        raise KeyError("s3cret")

    front.app.add_api_route("/v1/broken", broken)
    async with front.client() as acme:
        answer = await acme.get("/v1/broken")
    assert answer.status_code == 500
    assert answer.json()["type"] == "/problems/defect"
    assert "s3cret" not in answer.text


async def test_database_that_is_away_is_503_with_a_time_to_come_again() -> None:
    nowhere = Database.connect("postgresql://nobody@127.0.0.1:9/nothing")
    front = FrontDoor(nowhere, nowhere)
    key = "bfk_" + "0" * 16 + "_" + "A" * 43
    async with front.client(key=key) as caller:
        for path in ("/v1/accounts/a", "/readyz"):
            answer = await caller.get(path)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert answer.json()["type"] == "/problems/unavailable"
        posted = await caller.post("/v1/events", json={"events": [event(1)]})
        assert posted.status_code == 503
        assert (await caller.get("/livez")).status_code == 200
    await nowhere.close()


async def test_pool_that_is_exhausted_is_503_soon(front: FrontDoor, database_url: str) -> None:
    narrow = Database.connect(database_url, pool_size=1, pool_timeout_s=0.1)
    front.door.database = narrow
    async with narrow.transaction(), front.client() as acme:
        assert (await acme.get("/v1/accounts/acme-1")).status_code == 503
    await narrow.close()


@pytest.fixture
def address(postgres_cluster: Cluster, database_name: str) -> Iterator[tuple[str, int]]:
    """A listening door that waits half a second."""
    url = postgres_cluster.gateway_url(database_name)
    options = Options(body_timeout_s=0.3, link_secrets=OPTIONS.link_secrets)
    with listening(url, options) as at:
        parts = urlsplit(at)
        yield str(parts.hostname), int(parts.port or 0)


async def test_caller_that_never_finishes_its_head_is_hung_up_on(
    address: tuple[str, int],
) -> None:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\nX-Slow: ")
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()


async def test_caller_that_never_finishes_its_body_is_told_so(address: tuple[str, int]) -> None:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
    said = await asyncio.wait_for(reader.read(), 10)
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"/problems/timeout" in said
    writer.close()


async def test_kept_connection_may_ask_again_and_again(address: tuple[str, int]) -> None:
    async with httpx.AsyncClient(base_url=f"http://{address[0]}:{address[1]}") as client:
        statuses = [(await client.get("/livez")).status_code for _ in range(3)]
    assert statuses == [200, 200, 200]


async def test_login_that_row_security_does_not_bind_is_known_as_such(
    superuser_database: Database, database: Database, gateway_database: Database
) -> None:
    bound = []
    for login in (superuser_database, database, gateway_database):
        async with login.transaction() as connection:
            bound.append((await front_door.who_are_we(connection)).is_bound)
    assert bound == [False, False, True]
