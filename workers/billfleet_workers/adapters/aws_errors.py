"""The one place that reads what AWS clients throw.

The adapters of SQS, SNS and DynamoDB run each call inside `aws_call`, which bounds its time and
turns every foreign error into one of three: `Unavailable` (wait), `Misconfigured` (repair),
`Refused` (this request is wrong, and the adapter answers for it). It must not know what any call
is for.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import botocore.exceptions as foreign
from botocore.parsers import ResponseParserError

from billfleet_workers.runtime.errors import Misconfigured, Unavailable

CALL_TIMEOUT_S = 15.0
"""For every other call, its retries included: well below any visibility timeout or lease."""

THROTTLES = frozenset(
    {
        "KmsThrottled",
        "KMS.ThrottlingException",
        "LimitExceededException",
        "OverLimit",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttled",
        "ThrottledException",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
PASSING = THROTTLES | {
    "InternalError",
    "InternalErrorException",
    "InternalFailure",
    "InternalServerError",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "TransactionConflict",
    "TransactionInProgressException",
}
"""Codes that say nothing about the request: the same request may pass later."""
MISCONFIGURATIONS = {
    **dict.fromkeys(
        (
            "AccessDenied",
            "AccessDeniedException",
            "AuthorizationError",
            "AuthorizationErrorException",
        ),
        "the credentials in use may not do this; add the permission to the worker's role",
    ),
    **dict.fromkeys(
        (
            "KmsAccessDenied",
            "KMS.AccessDeniedException",
            "KMSAccessDenied",
            "KMSAccessDeniedException",
        ),
        "the worker's role may not use the encryption key; add it to the key's policy",
    ),
    **dict.fromkeys(
        (
            "AuthFailure",
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidSecurity",
            "InvalidSignatureException",
            "MissingAuthenticationToken",
            "RequestExpired",
            "RequestTimeTooSkewed",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
        ),
        "the AWS credentials are wrong or have expired; renew them, and check this machine's clock",
    ),
    **dict.fromkeys(
        (
            "AWS.SimpleQueueService.NonExistentQueue",
            "NonExistentQueue",
            "NotFound",
            "NotFoundException",
            "QueueDoesNotExist",
            "ResourceNotFound",
            "ResourceNotFoundException",
        ),
        "it does not exist in this account and region; create the stack, or correct"
        " BILLFLEET_STACK, AWS_REGION or AWS_ENDPOINT_URL",
    ),
}
"""Code → what an operator should do about it."""

_MISCONFIGURED_LOCALLY = (
    foreign.NoCredentialsError,
    foreign.PartialCredentialsError,
    foreign.NoRegionError,
    foreign.InvalidRegionError,
    foreign.ProfileNotFound,
    foreign.ConfigParseError,
    foreign.ConfigNotFound,
    foreign.InvalidConfigError,
    foreign.InvalidEndpointConfigurationError,
    foreign.EndpointProviderError,
)


class Refused(Exception):
    """AWS understood the request and said no to it. Only adapters see this."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


def translate(dependency: str, error: BaseException) -> Unavailable | Misconfigured | Refused:
    """What a foreign error means to us. Pure."""
    if isinstance(error, foreign.ClientError):
        return _translate_answer(dependency, error)
    if isinstance(error, _MISCONFIGURED_LOCALLY):
        return Misconfigured(dependency, f"{error}; check the AWS settings of this process")
    if isinstance(error, TimeoutError):
        return Unavailable(dependency, "no answer in time")
    return Unavailable(dependency, str(error) or type(error).__name__)


def _translate_answer(
    dependency: str, error: foreign.ClientError
) -> Unavailable | Misconfigured | Refused:
    said = error.response.get("Error", {})
    code, reason = str(said.get("Code", "Unknown")), str(said.get("Message", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    text = f"{error.operation_name} answered {code}: {reason}"
    if code in MISCONFIGURATIONS:
        return Misconfigured(dependency, f"{text}; {MISCONFIGURATIONS[code]}")
    if code in PASSING or status >= 500 or status == 429:
        return Unavailable(dependency, text)
    return Refused(code, reason)


@asynccontextmanager
async def aws_call(dependency: str, timeout_s: float = CALL_TIMEOUT_S) -> AsyncIterator[None]:
    """Run one AWS call in here: bounded in time, with its errors translated."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except _foreign_errors() as error:
        raise translate(dependency, error) from error


def _foreign_errors() -> tuple[type[Exception], ...]:
    """What AWS clients throw; aiohttp's too where it is in use. It is not loaded for that."""
    errors = (
        foreign.BotoCoreError,
        foreign.ClientError,
        ResponseParserError,  # a proxy's page instead of an answer
        OSError,  # TimeoutError is one
    )
    aiohttp = sys.modules.get("aiohttp")
    return errors if aiohttp is None else (*errors, aiohttp.ClientError)
