"""Opening the lean way to a service: where it is, who we are, whom we trust.

Called by whoever makes lean clients. All of it is botocore's answer, asked once: partitions, FIPS
and dual-stack hosts, endpoints and certificates of the configuration, credentials that renew
themselves. Where a proxy stands in between, there is no lean way, and the SDK's client serves.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from botocore.configprovider import ConfiguredEndpointProvider
from botocore.endpoint_provider import EndpointProvider
from botocore.httpsession import get_cert_path

from billfleet_producers.lean.json_service import JsonService, Patience, Time
from billfleet_producers.lean.sigv4 import Signer
from billfleet_producers.lean.wire import Wire

if TYPE_CHECKING:
    from aiobotocore.session import AioSession

LeanService = Literal["sqs", "dynamodb"]
TARGET_PREFIXES: Final = {"sqs": "AmazonSQS", "dynamodb": "DynamoDB_20120810"}


@dataclass(frozen=True, slots=True)
class Manner:
    """How to speak to services: as whom, how patiently, and who hears of a clock that is off."""

    user_agent: str
    clock: Time
    on_skew: Callable[[float], None]
    patience: Patience = field(default_factory=Patience)
    jitter: Callable[[], float] = random.random
    connections_max: int = 32
    connect_timeout_s: float = 3.0
    read_timeout_s: float = 30.0


async def open_service(
    session: AioSession, name: LeanService, *, region: str, endpoint_url: str | None, manner: Manner
) -> JsonService | None:
    """The service, unless a proxy stands before it. Nothing is asked of it yet.

    Raises:
        BotoCoreError, ValueError: the configuration of AWS is wrong.
    """
    place = find_place(session, name, region, endpoint_url)
    if urlsplit(place.url).scheme not in ("http", "https"):
        raise ValueError(f"Invalid endpoint: {place.url}")
    if proxy_for(place.url) is not None:
        return None
    credentials: Any = await session.get_credentials()
    wire = Wire(
        place.url,
        headers={
            "User-Agent": manner.user_agent,
            "Accept-Encoding": "identity",
            "Accept": "*/*",
        },
        trusted=await _trusted(place.url, session.get_config_variable("ca_bundle")),
        connections_max=manner.connections_max,
        connect_timeout_s=manner.connect_timeout_s,
        read_timeout_s=manner.read_timeout_s,
    )
    return JsonService(
        target_prefix=TARGET_PREFIXES[name],
        signer=Signer(service=name, region=place.signing_region, url=place.url),
        credentials=credentials,
        wire=wire,
        clock=manner.clock,
        jitter=manner.jitter,
        patience=manner.patience,
        on_skew=manner.on_skew,
    )


async def _trusted(url: str, ca_bundle: str | None) -> ssl.SSLContext | None:
    if not url.startswith("https:"):
        return None
    # Reading hundreds of certificates takes tens of milliseconds: not on the event loop.
    return await asyncio.to_thread(
        ssl.create_default_context, cafile=ca_bundle or get_cert_path(verify=True)
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
