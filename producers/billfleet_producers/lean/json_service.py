"""The AWS JSON protocol over one wire: signed, retried, its errors read as botocore's.

One `JsonService` speaks to one service. A call costs about a tenth of the same call through the
SDK. What fails leaves as botocore's `ClientError` or as an OSError (TimeoutError is one), so that
it is read like the SDK's. It must not know what any call is for.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import orjson
from botocore.exceptions import ClientError, CredentialRetrievalError, NoCredentialsError
from botocore.parsers import ResponseParserError

from billfleet_producers.lean.sigv4 import Keys, Signer
from billfleet_producers.lean.wire import Reply, StaleConnection

STALE_MAX = 3
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


class Connections(Protocol):
    """What carries requests; a `Wire`, or a test's script."""

    async def post(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send one request and read its answer."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Time(Protocol):
    """A clock that can wait."""

    def now(self) -> datetime:
        """The present, aware, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """What is tried again. `passing` are codes that say nothing about the request."""

    attempts_max: int = 1
    passing: frozenset[str] = frozenset()


class Credentials(Protocol):
    """botocore's credentials: it renews them by itself before they expire."""

    async def get_frozen_credentials(self) -> Keys:
        """Those of now."""
        ...


class JsonService:
    """Calls one service. The wire is its own, and is closed with it.

    `on_skew` hears by how many seconds this machine's clock is off when a service refuses its
    signatures for that; requests are signed with the service's time from then on.
    """

    def __init__(
        self,
        *,
        target_prefix: str,
        signer: Signer,
        credentials: Credentials | None,
        wire: Connections,
        clock: Time,
        jitter: Callable[[], float],
        patience: Patience,
        on_skew: Callable[[float], None],
    ) -> None:
        self._target_prefix = target_prefix
        self._signer = signer
        self._credentials = credentials
        self._wire = wire
        self._clock = clock
        self._jitter = jitter
        self._patience = patience
        self._on_skew = on_skew
        self._skew = timedelta(0)

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Make the call; the answer's top-level members that are null are left out."""
        return await self.post(operation, _to_json(parameters))

    async def post(self, operation: str, body: bytes) -> dict[str, Any]:
        """Make a call whose parameters are JSON already."""
        stale, attempt = 0, 1
        while True:
            try:
                return await self._attempt(operation, body)
            except StaleConnection:
                # Closed while idle: nothing was wrong with the request, and no time was lost.
                stale += 1
                if stale > STALE_MAX:
                    raise
                continue
            except TimeoutError:
                raise
            except OSError:
                if attempt >= self._patience.attempts_max:
                    raise
                await self._pause(attempt)
            except ClientError as error:
                if not await self._may_pass(error, attempt):
                    raise
            attempt += 1

    async def close(self) -> None:
        """Close the connections. Safe to call twice."""
        await self._wire.close()

    async def _attempt(self, operation: str, body: bytes) -> dict[str, Any]:
        keys = await _frozen(self._credentials)
        target = f"{self._target_prefix}.{operation}"
        now = self._clock.now()
        if self._skew:
            now += self._skew
        reply = await self._wire.post(self._signer.headers(target, body, keys, now), body)
        if reply.status != 200:
            raise error_of(operation, reply.status, reply.headers, reply.payload)
        return _from_json(reply.payload)

    async def _may_pass(self, error: ClientError, attempt: int) -> bool:
        """Whether the same request may pass now; waits where it needs to."""
        code = error.response["Error"]["Code"]
        metadata = error.response["ResponseMetadata"]
        if code in _SIGNATURE_REFUSED:
            is_early = attempt <= self._patience.attempts_max
            return is_early and self._correct_clock(metadata["HTTPHeaders"].get("date"))
        if attempt >= self._patience.attempts_max:
            return False
        if code in self._patience.passing or metadata["HTTPStatusCode"] in _TRANSIENT:
            await self._pause(attempt)
            return True
        return False

    def _correct_clock(self, said: str | None) -> bool:
        """Take over the service's time if ours is off. True: it is another time than before."""
        skew = _skew(said, self._clock.now())
        if skew is None or abs(skew - self._skew) < timedelta(seconds=SKEW_MIN_S):
            return False
        self._skew = skew
        self._on_skew(-skew.total_seconds())
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
