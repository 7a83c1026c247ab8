"""What AWS and the network say, and what it means to the fleet."""

import asyncio
from typing import Any

import aiohttp
import botocore.exceptions as foreign
import pytest

from billfleet_workers.adapters.aws_errors import Refused, aws_call, translate
from billfleet_workers.runtime.errors import Misconfigured, Unavailable


def answered(code: str, status: int = 400) -> foreign.ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "said AWS"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return foreign.ClientError(response, "ReceiveMessage")


@pytest.mark.parametrize(
    "error",
    [
        answered("ThrottlingException"),
        answered("RequestThrottled", 403),
        answered("ProvisionedThroughputExceededException"),
        answered("OverLimit", 403),
        answered("Whatever", 503),
        answered("Whatever", 429),
        foreign.EndpointConnectionError(endpoint_url="http://x", error="refused"),
        foreign.ReadTimeoutError(endpoint_url="http://x", error="slow"),
        foreign.ConnectionClosedError(endpoint_url="http://x", error="closed"),
        foreign.CredentialRetrievalError(provider="role", error_msg="no answer"),
        aiohttp.ClientPayloadError("cut"),
        ConnectionResetError("reset"),
        TimeoutError(),
    ],
)
def test_what_may_pass_is_unavailable(error: BaseException) -> None:
    translated = translate("SQS", error)
    assert isinstance(translated, Unavailable)
    assert not isinstance(translated, Misconfigured)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (answered("AWS.SimpleQueueService.NonExistentQueue"), "BILLFLEET_STACK"),
        (answered("QueueDoesNotExist"), "create the stack"),
        (answered("ResourceNotFoundException"), "create the stack"),
        (answered("AccessDeniedException"), "permission"),
        (answered("AuthorizationError", 403), "permission"),
        (answered("ExpiredTokenException", 403), "renew"),
        (answered("InvalidClientTokenId", 403), "credentials"),
        (foreign.NoCredentialsError(), "AWS settings"),
        (foreign.NoRegionError(), "AWS settings"),
    ],
)
def test_what_waiting_cannot_heal_is_misconfigured_and_says_what_to_do(
    error: BaseException, remedy: str
) -> None:
    translated = translate("SQS queue a-b", error)
    assert isinstance(translated, Misconfigured)
    assert remedy in str(translated)
    assert "SQS queue a-b" in str(translated)


def test_other_answers_are_refusals_of_this_request() -> None:
    translated = translate("SQS", answered("InvalidParameterValue"))
    assert isinstance(translated, Refused)
    assert (translated.code, translated.reason) == ("InvalidParameterValue", "said AWS")


async def test_call_that_does_not_answer_is_given_up() -> None:
    with pytest.raises(Unavailable, match="no answer in time"):
        async with aws_call("SQS", timeout_s=0.01):
            await asyncio.Event().wait()


async def test_our_own_mistakes_are_not_taken_for_outages() -> None:
    with pytest.raises(KeyError):
        async with aws_call("SQS"):
            raise KeyError
