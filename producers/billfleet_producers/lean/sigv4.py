"""Signature Version 4 for one kind of request: a POST of a JSON body to a service's endpoint.

`json_service` calls it for each request. It gives botocore's signature at a tenth
of the cost: what never changes is written once, and the signing key is derived once a day and
credential. Pure but for that key. It must not know what a request asks for.

Source: AWS, "Create a signed AWS API request", IAM User Guide.
"""

import hmac
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Protocol
from urllib.parse import quote, urlsplit

CONTENT_TYPE = "application/x-amz-json-1.0"
_ALGORITHM = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Keys(Protocol):
    """Credentials as they stand at a moment; botocore's frozen credentials are such."""

    @property
    def access_key(self) -> str | None:
        """Which key it is."""

    @property
    def secret_key(self) -> str | None:
        """What signs."""

    @property
    def token(self) -> str | None:
        """The session's token, where the credentials are temporary."""


class Signer:
    """Signs requests to one endpoint of one service in one region."""

    def __init__(self, *, service: str, region: str, url: str) -> None:
        self._service = service
        self._region = region
        self._host = host_of(url)
        self._path = quote(urlsplit(url).path or "/", safe="/~")
        # One value, and replaced as one: threads share it.
        self._derived: tuple[str, str, bytes] = ("", "", b"")

    def headers(self, target: str, body: bytes, keys: Keys, now: datetime) -> Mapping[str, str]:
        """The headers to send: those that are signed, and the signature."""
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        day = stamp[:8]
        headers = {
            "Host": self._host,
            "Content-Type": CONTENT_TYPE,
            "X-Amz-Date": stamp,
            "X-Amz-Target": target,
        }
        token_line, names = "", "content-type;host;x-amz-date;x-amz-target"
        if keys.token:
            headers["X-Amz-Security-Token"] = keys.token
            token_line = f"x-amz-security-token:{keys.token}\n"
            names = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"
        canonical = (
            f"POST\n{self._path}\n\ncontent-type:{CONTENT_TYPE}\nhost:{self._host}\n"
            f"x-amz-date:{stamp}\n{token_line}x-amz-target:{target}\n\n"
            f"{names}\n{sha256(body).hexdigest()}"
        )
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        digest = sha256(canonical.encode()).hexdigest()
        to_sign = f"{_ALGORITHM}\n{stamp}\n{scope}\n{digest}"
        signature = _hmac(self._signing_key(keys.secret_key or "", day), to_sign).hex()
        headers["Authorization"] = (
            f"{_ALGORITHM} Credential={keys.access_key}/{scope}, SignedHeaders={names}, "
            f"Signature={signature}"
        )
        return headers

    def _signing_key(self, secret: str, day: str) -> bytes:
        of_secret, of_day, key = self._derived
        if (of_secret, of_day) != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = _hmac(key, part)
            self._derived = (secret, day, key)
        return key


def host_of(url: str) -> str:
    """What stands in the Host header: the port only where it is not the scheme's own."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    if parts.port is None or parts.port == _DEFAULT_PORTS.get(parts.scheme):
        return host
    return f"{host}:{parts.port}"


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
