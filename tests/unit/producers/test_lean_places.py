"""Where the lean clients find a service: what botocore would answer, without its client."""

import asyncio
import ssl
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.session import get_session

from billfleet_producers.lean.blocking_opening import open_blocking_service
from billfleet_producers.lean.client import LeanClient
from billfleet_producers.lean.opening import open_service
from billfleet_producers.lean.places import LeanService, Manner, Place, find_place, proxy_for
from billfleet_workers.runtime.clock import SystemClock
from certificates import Certificates

Find = Callable[..., Place]


@pytest.fixture
def find(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Find:
    """Asks with no configuration but the given variables."""
    nothing = tmp_path_factory.mktemp("aws") / "none"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(nothing))
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS", "AWS_USE_FIPS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)

    def ask(
        name: LeanService = "sqs",
        region: str = "eu-central-1",
        endpoint_url: str | None = None,
        **variables: str,
    ) -> Place:
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        return find_place(get_session(), name, region, endpoint_url)

    return ask


@pytest.mark.parametrize(
    ("name", "region", "url"),
    [
        ("sqs", "us-east-1", "https://sqs.us-east-1.amazonaws.com"),
        ("dynamodb", "eu-central-1", "https://dynamodb.eu-central-1.amazonaws.com"),
        ("sqs", "cn-north-1", "https://sqs.cn-north-1.amazonaws.com.cn"),
        ("dynamodb", "us-gov-west-1", "https://dynamodb.us-gov-west-1.amazonaws.com"),
    ],
)
def test_each_region_is_found_in_its_partition(
    find: Find, name: LeanService, region: str, url: str
) -> None:
    assert find(name, region) == Place(url, region)


def test_fips_host_is_used_where_it_is_asked_for(find: Find) -> None:
    place = find(region="us-east-1", AWS_USE_FIPS_ENDPOINT="true")
    assert place == Place("https://sqs-fips.us-east-1.amazonaws.com", "us-east-1")


def test_endpoint_of_one_service_comes_before_that_of_all(find: Find) -> None:
    variables = {"AWS_ENDPOINT_URL": "http://all:1", "AWS_ENDPOINT_URL_SQS": "http://sqs:2"}
    assert find("sqs", **variables).url == "http://sqs:2"
    assert find("dynamodb", **variables).url == "http://all:1"


def test_given_endpoint_comes_before_configuration_and_fips(find: Find) -> None:
    variables = {"AWS_ENDPOINT_URL_SQS": "http://sqs:2", "AWS_USE_FIPS_ENDPOINT": "true"}
    assert find(endpoint_url="http://given:3", **variables).url == "http://given:3"


def test_configured_endpoints_can_be_ignored(find: Find) -> None:
    variables = {"AWS_ENDPOINT_URL": "http://all:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    assert find(**variables).url == "https://sqs.eu-central-1.amazonaws.com"


def test_proxy_of_the_environment_holds_unless_the_host_is_excepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "127.0.0.1,.internal")
    monkeypatch.delenv("http_proxy", raising=False)
    assert proxy_for("https://sqs.eu-central-1.amazonaws.com") == "http://proxy:3128"
    assert proxy_for("https://sqs.internal") is None
    assert proxy_for("http://127.0.0.1:4566") is None


class AwaitedClient:
    """A blocking client behind the async face."""

    def __init__(self, client: LeanClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return partial(asyncio.to_thread, getattr(self._client, name))


async def open_sqs(kind: str, url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    skews: list[float] = []
    arguments: dict[str, Any] = {
        "region": "eu-central-1",
        "endpoint_url": url,
        "manner": Manner(user_agent="tests", on_skew=skews.append),
    }
    if kind == "blocking":
        blocking = open_blocking_service(get_session(), "sqs", clock=BlockingClock(), **arguments)
        return AwaitedClient(LeanClient(blocking)) if blocking else None
    service = await open_service(get_session(), "sqs", clock=SystemClock(), **arguments)
    return LeanClient(service) if service else None


class BlockingClock:
    def now(self) -> datetime:
        return SystemClock().now()

    def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


BOTH = pytest.mark.parametrize("kind", ["async", "blocking"])


@BOTH
async def test_certificates_are_those_of_the_configuration(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"X-Amz-Target: AmazonSQS.GetQueueUrl\r\n" in head
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"QueueUrl":"u"}')
        await writer.drain()
        writer.close()

    made = Certificates.make(tmp_path, host="localhost")
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=made.server())
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
    untrusting = await open_sqs(kind, url, monkeypatch)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(made.authority))
    trusting = await open_sqs(kind, url, monkeypatch)
    with pytest.raises(ssl.SSLCertVerificationError):
        await untrusting.get_queue_url(QueueName="q")
    assert await trusting.get_queue_url(QueueName="q") == {"QueueUrl": "u"}
    await trusting.close()
    await untrusting.close()
    server.close()
    await server.wait_closed()


@BOTH
async def test_behind_a_proxy_there_is_no_lean_way(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "")
    assert await open_sqs(kind, "https://sqs.eu-central-1.amazonaws.com", monkeypatch) is None


def test_only_operations_are_found_on_a_lean_client() -> None:
    client = LeanClient(cast("Any", SimpleNamespace(close=None, call=None)))
    with pytest.raises(AttributeError, match="meta"):
        client.meta  # noqa: B018 - asked for, and refused
