"""The one place where botocore's exceptions become this library's.

Called by both transports around every call and around making clients. It is imported with them,
so that a program which only records needs no botocore.
"""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)
from botocore.parsers import ResponseParserError

from billfleet_producers.calls import is_throttle
from billfleet_producers.errors import (
    EndpointUnreachable,
    NotPermitted,
    ProducerError,
    ProducerMisconfigured,
    QueueMissing,
    SendFailed,
)

_MISSING = frozenset(
    {
        "QueueDoesNotExist",
        "NonExistentQueue",
        "NotFound",
        "NotFoundException",
        "QueueDeletedRecently",
    }
)
_NOT_PERMITTED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "KmsAccessDenied",
        "KMSAccessDenied",
        "KMSAccessDeniedException",
        "MissingAuthenticationToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)


def map_call_error(error: Exception, destination: str) -> ProducerError:
    """What a failed call means to the caller.

    Args:
        error: whatever the AWS client raised.
        destination: the physical name of the queue or topic, for the sentence.
    """
    if isinstance(error, ClientError):
        return _map_answer(error, destination)
    if isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError):
        return NotPermitted(str(error), code="NoCredentials")
    # The last is a page of whatever stands in between, instead of an answer.
    unreachable = (BotoConnectionError, HTTPClientError, OSError, ResponseParserError)
    if isinstance(error, unreachable):
        return EndpointUnreachable(_sentence(error), code="Unreachable", retriable=True)
    return SendFailed(_sentence(error), code=type(error).__name__)


def map_setup_error(error: Exception) -> ProducerError:
    """What it means that a client could not be made."""
    if isinstance(error, NoRegionError):
        why = "no region: pass region=, or set AWS_REGION"
        return ProducerMisconfigured(why, code="NoRegion")
    if isinstance(error, ProfileNotFound | BotoCoreError | ValueError):
        return ProducerMisconfigured(_sentence(error), code=type(error).__name__)
    return map_call_error(error, "AWS")


def _map_answer(error: ClientError, destination: str) -> ProducerError:
    details = error.response.get("Error", {})
    code = str(details.get("Code", "Unknown"))
    bare = code.rpartition(".")[2]
    said = details.get("Message") or "no reason given"
    if bare in _MISSING:
        return QueueMissing(f"{destination} does not exist", code=code)
    if bare in _NOT_PERMITTED:
        return NotPermitted(f"{destination}: {said}", code=code)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    retriable = is_throttle(code) or status >= 500 or status == 429
    return SendFailed(f"{destination}: {said}", code=code, retriable=retriable)


def _sentence(error: Exception) -> str:
    return str(error) or type(error).__name__
