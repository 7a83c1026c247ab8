"""The AWS JSON protocol without I/O: what is sent, what answers mean, what is tried again.

`json_service` speaks it over a wire. What fails leaves as botocore's `ClientError`, or as an
OSError of the wire, so that it is read like the SDK's. It must not know what any call is for.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

import orjson
from botocore.exceptions import ClientError, CredentialRetrievalError, NoCredentialsError
from botocore.parsers import ResponseParserError

from billfleet_producers.lean.http1 import Reply, StaleConnection
from billfleet_producers.lean.sigv4 import Keys, Signer

STALE_MAX: Final = 3
PAUSE_CAP_S: Final = 5.0
SKEW_MIN_S: Final = 60.0
"""AWS accepts five minutes; a clock that is a minute off is worth correcting when it refuses."""

_SIGNATURE_REFUSED: Final = frozenset(
    {
        "InvalidSignatureException",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
_TRANSIENT: Final = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Patience:
    """What is tried again. `passing` are codes that say nothing about the request."""

    attempts_max: int = 1
    passing: frozenset[str] = frozenset()


class JsonProtocol:
    """How one service is spoken to.

    `on_skew` hears by how many seconds this machine's clock is off when the service refuses its
    signatures for that; requests are signed with the service's time from then on.
    """

    def __init__(
        self,
        *,
        target_prefix: str,
        signer: Signer,
        now: Callable[[], datetime],
        jitter: Callable[[], float],
        patience: Patience,
        on_skew: Callable[[float], None],
    ) -> None:
        self._target_prefix = target_prefix
        self._signer = signer
        self._now = now
        self._on_skew = on_skew
        self._skew = timedelta(0)
        self.jitter = jitter
        self.patience = patience

    def headers(self, operation: str, body: bytes, keys: Keys) -> Mapping[str, str]:
        """The headers of a request, with its signature.

        Raises:
            NoCredentialsError: there is nobody to sign as.
        """
        if not keys.access_key or not keys.secret_key:
            raise NoCredentialsError
        now = self._now()
        if self._skew:
            now += self._skew
        return self._signer.headers(f"{self._target_prefix}.{operation}", body, keys, now)

    @staticmethod
    def read(operation: str, reply: Reply) -> dict[str, Any]:
        """An answer's top-level members; those that are null are left out.

        Raises:
            ClientError: the service refused.
            ResponseParserError: this is no answer of the service.
        """
        if reply.status != 200:
            raise error_of(operation, reply.status, reply.headers, reply.payload)
        return _from_json(reply.payload)

    def correct_clock(self, said: str | None) -> bool:
        """Take over the service's time if ours is off. True: it is another time than before."""
        skew = _skew(said, self._now())
        if skew is None or abs(skew - self._skew) < timedelta(seconds=SKEW_MIN_S):
            return False
        self._skew = skew
        self._on_skew(-skew.total_seconds())
        return True


class Attempts:
    """What one call has tried, and what it may still try."""

    def __init__(self, protocol: JsonProtocol) -> None:
        self._protocol = protocol
        self._made = 0
        self._stale = 0

    def wait_s_after(self, error: OSError | ClientError) -> float | None:
        """How long to wait before the next attempt; None when there is none."""
        if isinstance(error, StaleConnection):
            # Closed while idle: nothing was wrong with the request, and no time was lost.
            self._stale += 1
            return 0.0 if self._stale <= STALE_MAX else None
        self._made += 1
        if isinstance(error, TimeoutError):
            return None
        if isinstance(error, ClientError):
            return self._wait_s_after_refusal(error)
        return self._pause_s()

    def _wait_s_after_refusal(self, error: ClientError) -> float | None:
        code = error.response["Error"]["Code"]
        metadata = error.response["ResponseMetadata"]
        patience = self._protocol.patience
        if code in _SIGNATURE_REFUSED:
            is_early = self._made <= patience.attempts_max
            said = metadata["HTTPHeaders"].get("date")
            return 0.0 if is_early and self._protocol.correct_clock(said) else None
        if code in patience.passing or metadata["HTTPStatusCode"] in _TRANSIENT:
            return self._pause_s()
        return None

    def _pause_s(self) -> float | None:
        if self._made >= self._protocol.patience.attempts_max:
            return None
        return min(self._protocol.jitter() * 2.0 ** (self._made - 1), PAUSE_CAP_S)


def not_renewed(error: RuntimeError) -> CredentialRetrievalError:
    """The error of credentials that botocore has renewed, and that are still expired."""
    return CredentialRetrievalError(provider="renewal", error_msg=str(error))


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


def to_json(parameters: Mapping[str, Any]) -> bytes:
    """A request's body."""
    try:
        return orjson.dumps(parameters)
    except TypeError:
        # Lone surrogates and integers above 64 bits, which the SDK takes too.
        return json.dumps(parameters).encode()


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
