"""The AWS JSON protocol over one HTTP session: signed, retried, its errors read as botocore's.

`aws_lean` builds one `JsonService` for each service. A call costs about a fifth of the same call
through the SDK. What fails leaves as botocore's `ClientError`, aiohttp's errors or `TimeoutError`,
so that `aws_errors` reads them like the SDK's. It must not know what any call is for.
"""

import io
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import aiohttp
import orjson
import structlog
from botocore.exceptions import ClientError, CredentialRetrievalError, NoCredentialsError
from botocore.parsers import ResponseParserError
from yarl import URL

from billfleet_workers.adapters.aws_errors import PASSING
from billfleet_workers.adapters.aws_sigv4 import Keys, Signer
from billfleet_workers.runtime.clock import Clock

LARGE_BODY_BYTES = 512 * 1024
PAUSE_CAP_S = 5.0
SKEW_MIN_S = 60.0
"""AWS accepts five minutes; a clock that is a minute off is worth correcting when it refuses."""

_SIGNATURE_REFUSED = frozenset(
    {
        "InvalidSignatureException",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
_TRANSIENT = frozenset({429, 500, 502, 503, 504})
_RECONNECTS = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)

log = structlog.get_logger("billfleet.aws")


class Credentials(Protocol):
    """botocore's credentials: it renews them by itself before they expire."""

    async def get_frozen_credentials(self) -> Keys:
        """Those of now."""
        ...


class JsonService:
    """Calls one service. The session is its own, and is closed with it."""

    def __init__(
        self,
        *,
        name: str,
        target_prefix: str,
        url: str,
        signer: Signer,
        credentials: Credentials | None,
        http: aiohttp.ClientSession,
        clock: Clock,
        jitter: Callable[[], float],
        attempts_max: int,
        proxy: str | None = None,
    ) -> None:
        self._name = name
        self._target_prefix = target_prefix
        self._url = URL(url, encoded=True)
        self._signer = signer
        self._credentials = credentials
        self._http = http
        self._clock = clock
        self._jitter = jitter
        self._attempts_max = attempts_max
        self._proxy = proxy
        self._skew = timedelta(0)

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Make the call; the answer's top-level members that are null are left out."""
        body = _to_json(parameters)
        for attempt in range(1, self._attempts_max):
            try:
                return await self._attempt(operation, body)
            except _RECONNECTS as error:
                if not _is_stale(error):
                    await self._pause(attempt)
            except ClientError as error:
                if not await self._may_pass(error, attempt):
                    raise
        return await self._attempt(operation, body)

    async def close(self) -> None:
        """Close the connections. Safe to call twice."""
        await self._http.close()

    async def _attempt(self, operation: str, body: bytes) -> dict[str, Any]:
        keys = await _frozen(self._credentials)
        target = f"{self._target_prefix}.{operation}"
        now = self._clock.now() + self._skew
        # aiohttp sends bytes in one go and warns above 1 MiB; a file it sends in pieces.
        data = body if len(body) <= LARGE_BODY_BYTES else io.BytesIO(body)
        async with self._http.post(
            self._url,
            data=data,
            headers=self._signer.headers(target, body, keys, now),
            proxy=self._proxy,
            allow_redirects=False,
        ) as response:
            payload = await response.read()
            if response.status != 200:
                raise error_of(operation, response.status, response.headers, payload)
        return _from_json(payload)

    async def _may_pass(self, error: ClientError, attempt: int) -> bool:
        """Whether the same request may pass now; waits where it needs to."""
        code = error.response["Error"]["Code"]
        metadata = error.response["ResponseMetadata"]
        if code in _SIGNATURE_REFUSED:
            return self._correct_clock(metadata["HTTPHeaders"].get("date"))
        if code in PASSING or metadata["HTTPStatusCode"] in _TRANSIENT:
            await self._pause(attempt)
            return True
        return False

    def _correct_clock(self, said: str | None) -> bool:
        """Take over the service's time if ours is off. True: it is another time than before."""
        skew = _skew(said, self._clock.now())
        if skew is None or abs(skew - self._skew) < timedelta(seconds=SKEW_MIN_S):
            return False
        self._skew = skew
        log.warning(
            "clock_is_off",
            service=self._name,
            by_s=-round(skew.total_seconds()),
            do="requests are signed with the service's time; set this machine's clock",
        )
        return True

    async def _pause(self, attempt: int) -> None:
        await self._clock.sleep(min(self._jitter() * 2.0 ** (attempt - 1), PAUSE_CAP_S))


async def _frozen(credentials: Credentials | None) -> Keys:
    if credentials is None:
        raise NoCredentialsError
    try:
        keys = await credentials.get_frozen_credentials()
    except RuntimeError as error:
        # botocore's word for "renewed, and still expired".
        raise CredentialRetrievalError(provider="renewal", error_msg=str(error)) from error
    if not keys.access_key or not keys.secret_key:
        raise NoCredentialsError
    return keys


def _is_stale(error: aiohttp.ClientError) -> bool:
    """Whether the far end had closed a connection that we kept: a new one may do at once."""
    return not isinstance(error, aiohttp.ClientConnectorError)


def error_of(
    operation: str, status: int, headers: Mapping[str, str], payload: bytes
) -> ClientError:
    """The error that botocore would raise for this answer. Pure."""
    body = _object_in(payload)
    code = str(body.get("__type") or status).rpartition("#")[2].partition(":")[0]
    # SQS keeps the codes of its older protocol here, and `aws_errors` knows those.
    older, separator, _ = headers.get("x-amzn-query-error", "").partition(";")
    if separator and older:
        code = older
    message = str(body.get("message") or body.get("Message") or "")
    metadata: Any = {
        "HTTPStatusCode": status,
        "HTTPHeaders": {name.lower(): value for name, value in headers.items()},
        "RequestId": headers.get("x-amzn-requestid", ""),
    }
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, operation
    )


def _object_in(payload: bytes) -> Mapping[str, Any]:
    try:
        body = orjson.loads(payload)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _skew(said: str | None, ours: datetime) -> timedelta | None:
    try:
        theirs = parsedate_to_datetime(said or "")
    except ValueError:
        return None
    return theirs.replace(tzinfo=theirs.tzinfo or UTC) - ours


def _to_json(parameters: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(parameters)
    except TypeError:
        # Lone surrogates and integers above 64 bits, which the SDK takes too.
        return json.dumps(parameters).encode()


def _from_json(payload: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(payload)
    except ValueError:
        answer = _from_loose_json(payload)
    if not isinstance(answer, dict):
        raise ResponseParserError(f"no JSON object in the answer: {payload[:200]!r}")
    return {name: value for name, value in answer.items() if value is not None}


def _from_loose_json(payload: bytes) -> object:
    try:
        return json.loads(payload)
    except ValueError:
        return None
