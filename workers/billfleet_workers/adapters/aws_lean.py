"""Lean clients of SQS and DynamoDB: the calls that every message pays for, without the SDK.

`main` takes `LeanAwsClients` instead of `AwsClients` where `BILLFLEET_AWS_CLIENT` says so. Where
the service is, who we are, which certificates and proxy hold: all that is still botocore's answer,
asked once. SNS and STS stay with the SDK. It must not know what any call is for.
"""

import ssl
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import urlsplit

import aiohttp
from aiobotocore.session import AioSession
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.endpoint_provider import EndpointProvider
from botocore.httpsession import get_cert_path

from billfleet_workers.adapters.aws_client import (
    CONNECT_TIMEOUT_S,
    READ_TIMEOUT_S,
    USER_AGENT,
    AwsClients,
)
from billfleet_workers.adapters.aws_errors import aws_call
from billfleet_workers.adapters.aws_json import JsonService
from billfleet_workers.adapters.aws_sigv4 import Signer
from billfleet_workers.runtime.clock import Clock

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_sqs import SQSClient

KEPT_IDLE_S = 20.0
NAMES_KEPT_S = 60
TARGET_PREFIXES = {"sqs": "AmazonSQS", "dynamodb": "DynamoDB_20120810"}

Answer = Mapping[str, Any]
LeanService = Literal["sqs", "dynamodb"]


class LeanSqs:
    """The calls of an SQS client that queues and publishers make, by botocore's names."""

    def __init__(self, service: JsonService) -> None:
        self._service = service
        self.close = service.close

    async def get_queue_url(self, **parameters: Any) -> Answer:
        """Find a queue by its name."""
        return await self._service.call("GetQueueUrl", parameters)

    async def receive_message(self, **parameters: Any) -> Answer:
        """One long poll."""
        return await self._service.call("ReceiveMessage", parameters)

    async def delete_message_batch(self, **parameters: Any) -> Answer:
        """Delete up to ten."""
        return await self._service.call("DeleteMessageBatch", parameters)

    async def change_message_visibility_batch(self, **parameters: Any) -> Answer:
        """Hide up to ten."""
        return await self._service.call("ChangeMessageVisibilityBatch", parameters)

    async def send_message_batch(self, **parameters: Any) -> Answer:
        """Send up to ten."""
        return await self._service.call("SendMessageBatch", parameters)


class LeanDynamoDb:
    """The calls of a DynamoDB client that our tables need, by botocore's names."""

    def __init__(self, service: JsonService) -> None:
        self._service = service
        self.close = service.close

    async def batch_execute_statement(self, **parameters: Any) -> Answer:
        """Run up to 25 PartiQL statements."""
        return await self._service.call("BatchExecuteStatement", parameters)

    async def batch_get_item(self, **parameters: Any) -> Answer:
        """Read up to 100 items."""
        return await self._service.call("BatchGetItem", parameters)

    async def batch_write_item(self, **parameters: Any) -> Answer:
        """Put or delete up to 25 items."""
        return await self._service.call("BatchWriteItem", parameters)

    async def scan(self, **parameters: Any) -> Answer:
        """Read one page of a table."""
        return await self._service.call("Scan", parameters)

    async def query(self, **parameters: Any) -> Answer:
        """Read one page of what shares a key."""
        return await self._service.call("Query", parameters)


class LeanAwsClients(AwsClients):
    """Opens lean clients of SQS and DynamoDB, and the SDK's of what else there is."""

    def __init__(
        self,
        *,
        region: str,
        clock: Clock,
        jitter: Callable[[], float],
        endpoint_url: str | None = None,
        attempts_max: int = 3,
    ) -> None:
        super().__init__(region=region, endpoint_url=endpoint_url, attempts_max=attempts_max)
        self._clock = clock
        self._jitter = jitter

    async def open_sqs(self, *, pool_size: int = 32) -> "SQSClient":
        """A client of SQS that knows the calls of `LeanSqs`, and no other."""
        return cast("SQSClient", LeanSqs(await self._open_lean("sqs", pool_size)))

    async def open_dynamodb(self, *, pool_size: int = 32) -> "DynamoDBClient":
        """A client of DynamoDB that knows the calls of `LeanDynamoDb`, and no other."""
        return cast("DynamoDBClient", LeanDynamoDb(await self._open_lean("dynamodb", pool_size)))

    async def _open_lean(self, name: LeanService, pool_size: int) -> JsonService:
        async with aws_call(name.upper()):
            place = find_place(self._session, name, self.region, self._endpoint_url)
            credentials: Any = await self._session.get_credentials()
            ca_bundle = self._session.get_config_variable("ca_bundle")
        return JsonService(
            name=name,
            target_prefix=TARGET_PREFIXES[name],
            url=place.url,
            signer=Signer(service=name, region=place.signing_region, url=place.url),
            credentials=credentials,
            http=_open_http(place.url, pool_size, ca_bundle),
            clock=self._clock,
            jitter=self._jitter,
            attempts_max=self._attempts_max,
            proxy=proxy_for(place.url),
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service answers, and the region that its requests are signed for."""

    url: str
    signing_region: str


def find_place(
    session: AioSession, name: LeanService, region: str, endpoint_url: str | None
) -> Place:
    """Ask botocore: partitions, FIPS and dual-stack hosts, and the endpoints of configuration.

    `AWS_ENDPOINT_URL_SQS` and its like come before `AWS_ENDPOINT_URL`, as in every AWS tool.
    """
    configured = ConfiguredEndpointProvider(
        full_config=session.full_config,
        scoped_config=session.get_scoped_config(),
        client_name=name,
    )
    is_ignored = session.get_config_variable("ignore_configured_endpoint_urls")
    given = endpoint_url or (None if is_ignored else configured.provide())
    parameters: dict[str, object] = {
        "Region": region,
        "UseFIPS": bool(session.get_config_variable("use_fips_endpoint")) and not given,
        "UseDualStack": bool(session.get_config_variable("use_dualstack_endpoint")) and not given,
    }
    if given:
        parameters["Endpoint"] = given
    loader = session.get_component("data_loader")
    rules = loader.load_service_model(name, "endpoint-rule-set-1")
    found = EndpointProvider(rules, loader.load_data("partitions")).resolve_endpoint(**parameters)
    schemes = found.properties.get("authSchemes") or [{}]
    return Place(found.url, schemes[0].get("signingRegion") or region)


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for this address, unless it excepts it."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def _open_http(url: str, pool_size: int, ca_bundle: str | None) -> aiohttp.ClientSession:
    trusted: ssl.SSLContext | bool = True
    if url.startswith("https:"):
        trusted = ssl.create_default_context(cafile=ca_bundle or get_cert_path(verify=True))
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=pool_size,
            keepalive_timeout=KEPT_IDLE_S,
            ttl_dns_cache=NAMES_KEPT_S,
            ssl=trusted,
        ),
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=READ_TIMEOUT_S
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", "Accept": "*/*"},
        auto_decompress=False,
    )
