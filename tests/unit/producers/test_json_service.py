"""The AWS JSON protocol: what is sent, what is tried again, and what errors become."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from typing import Any, cast

import orjson
import pytest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError, CredentialRetrievalError, NoCredentialsError
from botocore.parsers import ResponseParserError

from billfleet_producers.lean.http1 import Reply, StaleConnection
from billfleet_producers.lean.json_protocol import STALE_MAX, JsonProtocol, Patience
from billfleet_producers.lean.json_service import BlockingJsonService, JsonService, Time
from billfleet_producers.lean.sigv4 import Signer
from billfleet_workers.adapters.aws_errors import PASSING, Refused, translate
from billfleet_workers.runtime.errors import Misconfigured, Unavailable

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
URL = "http://127.0.0.1:1/"
STALE = StaleConnection("closed while idle")
REFUSED = ConnectionRefusedError(111, "refused")


class Answer:
    """One scripted answer of the far end."""

    def __init__(self, body: object = None, status: int = 200, **headers: str) -> None:
        payload = body if isinstance(body, bytes) else orjson.dumps(body or {})
        named = [(n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()]
        self.reply = Reply(status, named, payload)


class ScriptedWire:
    """A wire that answers from a list and remembers what it was sent."""

    def __init__(self, *script: Answer | Exception) -> None:
        self._script = list(script)
        self.sent: list[tuple[Mapping[str, str], bytes]] = []
        self.closed = 0

    def post(self, headers: Mapping[str, str], body: bytes) -> Reply:
        self.sent.append((headers, body))
        step = self._script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step.reply

    def close(self) -> None:
        self.closed += 1


class StandingClock:
    """Stands still, and remembers how long it was asked to sleep."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> datetime:
        return START

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Keys:
    """Credentials; given an error, they can't be had."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        if self._error:
            raise self._error
        return ReadOnlyCredentials("AKID", "secret", None)


NO_KEYS = Keys(RuntimeError("refreshed, and still expired"))
HAS_KEYS = Keys()


class Awaited:
    """What blocks, behind the face of an event loop."""

    def __init__(self, blocking: Any) -> None:
        self._blocking = blocking

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any) -> Any:
            return getattr(self._blocking, name)(*arguments)

        return call


class Bench:
    """A service of either kind on a scripted wire."""

    def __init__(
        self, kind: str, *script: Answer | Exception, keys: Keys | None = HAS_KEYS
    ) -> None:
        self.wire = ScriptedWire(*script)
        self.clock = StandingClock()
        self.skews: list[float] = []
        protocol = JsonProtocol(
            target_prefix="AmazonSQS",
            signer=Signer(service="sqs", region="us-east-1", url=URL),
            now=self.clock.now,
            jitter=lambda: 0.5,
            patience=Patience(3, PASSING),
            on_skew=self.skews.append,
        )
        self.service: Any
        if kind == "blocking":
            blocking = BlockingJsonService(
                protocol, credentials=keys, wire=self.wire, clock=self.clock
            )
            self.service = Awaited(blocking)
        else:
            self.service = JsonService(
                protocol,
                credentials=Awaited(keys) if keys else None,
                wire=Awaited(self.wire),
                clock=cast("Time", Awaited(self.clock)),
            )

    async def ask(self, **parameters: Any) -> Mapping[str, Any]:
        found: Mapping[str, Any] = await self.service.call("ReceiveMessage", parameters)
        return found


Make = Callable[..., Bench]


@pytest.fixture(params=["async", "blocking"])
def make(request: pytest.FixtureRequest) -> Make:
    return partial(Bench, request.param)


def error(code: str, status: int = 400, **headers: str) -> Answer:
    return Answer({"__type": f"com.amazonaws.sqs#{code}", "message": "why"}, status, **headers)


async def test_call_is_a_signed_post_of_its_parameters_and_returns_the_answer(make: Make) -> None:
    bench = make(Answer({"Messages": [{"Body": "é"}], "Failed": None}))
    assert await bench.ask(QueueUrl="u") == {"Messages": [{"Body": "é"}]}
    [(headers, body)] = bench.wire.sent
    assert orjson.loads(body) == {"QueueUrl": "u"}
    assert headers["X-Amz-Target"] == "AmazonSQS.ReceiveMessage"
    assert headers["X-Amz-Date"] == "20260131T120000Z"
    assert headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKID/20260131/")


async def test_connections_closed_while_idle_are_replaced_at_once(make: Make) -> None:
    bench = make(*[STALE] * STALE_MAX, Answer({"a": 1}))
    assert await bench.ask() == {"a": 1}
    assert bench.clock.slept == []


async def test_far_end_that_closes_every_connection_is_an_error_at_last(make: Make) -> None:
    bench = make(*[STALE] * (STALE_MAX + 1))
    with pytest.raises(StaleConnection) as caught:
        await bench.ask()
    assert isinstance(translate("SQS", caught.value), Unavailable)


async def test_silence_is_not_asked_again(make: Make) -> None:
    bench = make(TimeoutError("no answer in time"))
    with pytest.raises(TimeoutError):
        await bench.ask()


async def test_unreachable_service_is_tried_three_times_with_growing_pauses(make: Make) -> None:
    bench = make(REFUSED, REFUSED, REFUSED)
    with pytest.raises(ConnectionRefusedError):
        await bench.ask()
    assert bench.clock.slept == [0.5, 1.0]


@pytest.mark.parametrize(
    "passing",
    [error("RequestThrottled"), error("KmsThrottled"), Answer(b"<html>", 503), Answer(b"", 429)],
)
async def test_throttle_and_server_error_are_tried_again_after_a_pause(
    make: Make, passing: Answer
) -> None:
    bench = make(passing, Answer({"a": 1}))
    assert await bench.ask() == {"a": 1}
    assert bench.clock.slept == [0.5]


async def test_last_attempts_error_is_the_calls_error(make: Make) -> None:
    bench = make(error("InternalError", 500), error("InternalError", 500), error("Late", 500))
    with pytest.raises(ClientError, match="Late"):
        await bench.ask()
    assert len(bench.wire.sent) == 3


async def test_refusal_is_not_repeated_and_reads_like_botocores(make: Make) -> None:
    bench = make(error("ReceiptHandleIsInvalid"))
    with pytest.raises(ClientError) as caught:
        await bench.ask()
    refused = translate("SQS", caught.value)
    assert isinstance(refused, Refused)
    assert (refused.code, refused.reason) == ("ReceiptHandleIsInvalid", "why")
    assert caught.value.operation_name == "ReceiveMessage"
    assert len(bench.wire.sent) == 1


async def test_code_of_the_older_protocol_comes_first(make: Make) -> None:
    older = "AWS.SimpleQueueService.NonExistentQueue;Sender"
    bench = make(error("QueueDoesNotExist", x_amzn_query_error=older))
    with pytest.raises(ClientError) as caught:
        await bench.ask()
    assert caught.value.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert isinstance(translate("SQS", caught.value), Misconfigured)


@pytest.mark.parametrize("page", [b"<html>welcome</html>", b"[]", b""])
async def test_page_of_a_proxy_is_not_an_answer(make: Make, page: bytes) -> None:
    answer = Answer(page)
    with pytest.raises(ResponseParserError) as caught:
        await make(answer).ask()
    assert isinstance(translate("SQS", caught.value), Unavailable)


@pytest.mark.parametrize("code", ["InvalidSignatureException", "SignatureDoesNotMatch"])
async def test_clock_that_is_off_is_corrected_by_the_services_own(make: Make, code: str) -> None:
    theirs = format_datetime(START.replace(hour=13), usegmt=True)
    bench = make(error(code, 403, date=theirs), Answer(), Answer())
    await bench.ask()
    await bench.ask()
    assert bench.skews == [-3600.0]
    dates = [headers["X-Amz-Date"] for headers, _ in bench.wire.sent]
    assert dates == ["20260131T120000Z", "20260131T130000Z", "20260131T130000Z"]


@pytest.mark.parametrize("said", [None, "no date", format_datetime(START, usegmt=True)])
async def test_wrong_secret_is_misconfigured_and_not_repeated(make: Make, said: str | None) -> None:
    headers = {} if said is None else {"date": said}
    bench = make(error("InvalidSignatureException", 403, **headers))
    with pytest.raises(ClientError) as caught:
        await bench.ask()
    assert isinstance(translate("SQS", caught.value), Misconfigured)
    assert len(bench.wire.sent) == 1


async def test_missing_credentials_are_misconfigured(make: Make) -> None:
    with pytest.raises(NoCredentialsError):
        await make(keys=None).ask()


async def test_credentials_that_can_not_be_renewed_are_unavailable(make: Make) -> None:
    with pytest.raises(CredentialRetrievalError) as caught:
        await make(keys=NO_KEYS).ask()
    assert isinstance(translate("SQS", caught.value), Unavailable)


async def test_text_that_is_no_unicode_goes_both_ways(make: Make) -> None:
    answer = Answer(b'{"Body": "\\ud800"}')
    bench = make(answer)
    assert await bench.ask(Body="\ud800") == {"Body": "\ud800"}
    assert bench.wire.sent[0][1] == b'{"Body": "\\ud800"}'


async def test_closing_closes_the_session(make: Make) -> None:
    bench = make()
    await bench.service.close()
    assert bench.wire.closed == 1
