"""The lean signer beside botocore's own: the same request at the same time, the same signature."""

from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.auth
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from billfleet_producers.lean.sigv4 import CONTENT_TYPE, Signer, host_of

NOW = datetime(2026, 1, 31, 23, 59, 58, tzinfo=UTC)
TARGET = "AmazonSQS.ReceiveMessage"
URL = "https://sqs.eu-central-1.amazonaws.com"
KEYS = ReadOnlyCredentials("AKIDEXAMPLE", "wJalr/secret+key", None)
SESSION_KEYS = ReadOnlyCredentials("ASIAEXAMPLE", "wJalr/secret+key", "FwoGZXIvYXdz//token==")


def botocores(
    url: str, body: bytes, keys: ReadOnlyCredentials, now: datetime, service: str = "sqs"
) -> dict[str, str]:
    """The headers of the same request, signed by botocore."""
    request = AWSRequest(
        "POST", url, headers={"Content-Type": CONTENT_TYPE, "X-Amz-Target": TARGET}, data=body
    )
    request.context["timestamp"] = now.strftime(botocore.auth.SIGV4_TIMESTAMP)
    signer: Any = SigV4Auth(keys, service, "eu-central-1")
    signer._modify_request_before_signing(request)
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(to_sign, request))
    return dict(request.headers.items())


def ours(
    url: str, body: bytes, keys: ReadOnlyCredentials, now: datetime, service: str = "sqs"
) -> dict[str, str]:
    signer = Signer(service=service, region="eu-central-1", url=url)
    return dict(signer.headers(TARGET, body, keys, now))


@pytest.mark.parametrize("keys", [KEYS, SESSION_KEYS], ids=["keys", "session token"])
@pytest.mark.parametrize(
    "url",
    [
        URL,
        URL + "/",
        URL + ":443/",
        "http://127.0.0.1:4566",
        "http://localhost:80/",
        "https://proxy.example:8443/aws/a b/~x",
        "http://[::1]:4566/",
    ],
)
def test_signature_is_botocores_own(url: str, keys: ReadOnlyCredentials) -> None:
    theirs, mine = botocores(url, b'{"a":1}', keys, NOW), ours(url, b'{"a":1}', keys, NOW)
    assert mine["Authorization"] == theirs["Authorization"]
    assert mine["X-Amz-Date"] == theirs["X-Amz-Date"]
    assert mine.get("X-Amz-Security-Token") == theirs.get("X-Amz-Security-Token")


@given(
    body=st.binary(max_size=200),
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
    token=st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
    seconds=st.integers(0, 10**9),
    service=st.sampled_from(["sqs", "dynamodb"]),
)
def test_signature_is_botocores_own_whatever_is_signed(
    body: bytes, secret: str, token: str | None, seconds: int, service: str
) -> None:
    keys = ReadOnlyCredentials("AKIDEXAMPLE", secret, token)
    now = NOW + timedelta(seconds=seconds)
    theirs = botocores(URL, body, keys, now, service)
    assert ours(URL, body, keys, now, service)["Authorization"] == theirs["Authorization"]


def test_key_kept_for_a_day_is_not_used_for_the_next_nor_for_other_credentials() -> None:
    signer = Signer(service="sqs", region="eu-central-1", url=URL)
    other = ReadOnlyCredentials("AKIDOTHER", "another secret", None)
    tomorrow = NOW + timedelta(seconds=5)
    for keys, now in [(KEYS, NOW), (KEYS, tomorrow), (other, tomorrow), (KEYS, NOW)]:
        mine = signer.headers(TARGET, b"{}", keys, now)
        assert mine["Authorization"] == botocores(URL, b"{}", keys, now)["Authorization"]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://sqs.example/", "sqs.example"),
        ("https://sqs.example:443/", "sqs.example"),
        ("https://sqs.example:80/", "sqs.example:80"),
        ("http://[::1]:4566", "[::1]:4566"),
    ],
)
def test_host_names_the_port_only_where_it_is_not_the_schemes_own(url: str, host: str) -> None:
    assert host_of(url) == host
