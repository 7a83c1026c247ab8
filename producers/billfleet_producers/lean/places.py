"""Where a service is, whom we trust there, and how we speak to it.

Asked by both ways of opening. It is botocore's answer: partitions, FIPS and dual-stack hosts,
endpoints and certificates of the configuration. Where a proxy stands in between, there is no lean
way, and the SDK's client serves. No event loop is loaded for it.
"""

from __future__ import annotations

import random
import ssl
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from botocore.configprovider import ConfiguredEndpointProvider
from botocore.endpoint_provider import EndpointProvider
from botocore.httpsession import get_cert_path
from botocore.session import Session

from billfleet_producers.lean.json_protocol import JsonProtocol, Patience
from billfleet_producers.lean.sigv4 import Signer

LeanService = Literal["sqs", "dynamodb"]
TARGET_PREFIXES: Final = {"sqs": "AmazonSQS", "dynamodb": "DynamoDB_20120810"}


@dataclass(frozen=True, slots=True)
class Manner:
    """How to speak to services: as whom, how patiently, and who hears of a clock that is off."""

    user_agent: str
    on_skew: Callable[[float], None]
    patience: Patience = field(default_factory=Patience)
    jitter: Callable[[], float] = random.random
    connections_max: int = 32
    connect_timeout_s: float = 3.0
    read_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service answers, and the region that its requests are signed for."""

    url: str
    signing_region: str


def find_open_place(
    session: Session, name: LeanService, region: str, endpoint_url: str | None
) -> Place | None:
    """Where the service answers; None where a proxy stands before it."""
    place = find_place(session, name, region, endpoint_url)
    if urlsplit(place.url).scheme not in ("http", "https"):
        raise ValueError(f"Invalid endpoint: {place.url}")
    return None if proxy_for(place.url) is not None else place


def protocol_of(
    name: LeanService, place: Place, manner: Manner, now: Callable[[], datetime]
) -> JsonProtocol:
    """How the service there is spoken to."""
    return JsonProtocol(
        target_prefix=TARGET_PREFIXES[name],
        signer=Signer(service=name, region=place.signing_region, url=place.url),
        now=now,
        jitter=manner.jitter,
        patience=manner.patience,
        on_skew=manner.on_skew,
    )


def wire_arguments(manner: Manner) -> dict[str, Any]:
    """The arguments of either wire besides the place."""
    return {
        "headers": {
            "User-Agent": manner.user_agent,
            "Accept-Encoding": "identity",
            "Accept": "*/*",
        },
        "connections_max": manner.connections_max,
        "connect_timeout_s": manner.connect_timeout_s,
        "read_timeout_s": manner.read_timeout_s,
    }


def trusted_by(session: Session, place: Place) -> ssl.SSLContext | None:
    """Whom the configuration trusts; reading hundreds of certificates takes a while."""
    if not place.url.startswith("https:"):
        return None
    ca_bundle = session.get_config_variable("ca_bundle")
    return ssl.create_default_context(cafile=ca_bundle or get_cert_path(verify=True))


def find_place(session: Session, name: LeanService, region: str, endpoint_url: str | None) -> Place:
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
