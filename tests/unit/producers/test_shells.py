"""The two AWS shells with a scripted client: what they ask, and how answers and errors are read."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from threading import Barrier
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    ReadTimeoutError,
)

from billfleet_contracts import (
    AccountPeriod,
    AccountRebilled,
    Event,
    QueueSpec,
    RebillAccounts,
    decode,
    wrap,
)
from billfleet_producers import (
    EndpointUnreachable,
    NotPermitted,
    Outgoing,
    Producer,
    ProducerError,
    ProducerMisconfigured,
    QueueMissing,
    Report,
    SendFailed,
    SyncProducer,
)
from billfleet_producers.async_transport import AsyncAwsTransport
from billfleet_producers.aws_errors import map_call_error, map_setup_error
from billfleet_producers.claim_check import LargeBody
from billfleet_producers.connection import Connection
from billfleet_producers.packing import Batch
from billfleet_producers.preparing import Preparation
from billfleet_producers.sending import Accepted, Answer
from billfleet_producers.sync_transport import SyncAwsTransport

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
Call = tuple[str, str, dict[str, Any]]
Reply = Callable[[str, str, dict[str, Any]], dict[str, Any]]


def client_error(code: str, status: int = 400) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "said AWS"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "SendMessageBatch")


def accept_all(service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    if operation == "get_queue_url":
        return {"QueueUrl": f"https://sqs/{parameters['QueueName']}"}
    if operation == "get_caller_identity":
        return {"Account": "123456789012", "Arn": "arn:aws-cn:iam::123456789012:user/me"}
    entries = parameters.get("Entries") or parameters["PublishBatchRequestEntries"]
    return {"Successful": [{"Id": e["Id"], "MessageId": f"m-{e['Id']}"} for e in entries]}


class ScriptedClients:
    """Clients of both kinds that answer from a function and remember what they were asked."""

    def __init__(self, reply: Reply) -> None:
        self.calls: list[Call] = []
        self.closed = False
        self._reply = reply

    def ask(self, service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((service, operation, parameters))
        return self._reply(service, operation, parameters)

    def operations(self) -> list[str]:
        return [operation for _, operation, _ in self.calls]


class Meta:
    region_name = "cn-north-1"


class SyncClient:
    meta = Meta

    def __init__(self, clients: ScriptedClients, service: str) -> None:
        self._clients, self._service = clients, service

    def __getattr__(self, operation: str) -> Any:
        return lambda **parameters: self._clients.ask(self._service, operation, parameters)


class AsyncClient(SyncClient):
    def __getattr__(self, operation: str) -> Any:
        async def ask(**parameters: Any) -> dict[str, Any]:
            await asyncio.sleep(0)
            return self._clients.ask(self._service, operation, parameters)

        return ask


class SyncScripted(ScriptedClients):
    def client(self, service: str) -> Any:
        return SyncClient(self, service)

    def close(self) -> None:
        self.closed = True


class AsyncScripted(ScriptedClients):
    async def client(self, service: str) -> Any:
        return AsyncClient(self, service)

    async def close(self) -> None:
        self.closed = True


class Shell:
    """Either shell over a scripted client; remembers its waits."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.waits: list[float] = []

    async def send(
        self, items: list[Any], reply: Reply, **connection: Any
    ) -> tuple[Report, ScriptedClients]:
        settings = Connection(stack="st", **connection)
        common: dict[str, Any] = {
            "stack": "st",
            "source": "/unit",
            "clock": lambda: NOW,
            "random": lambda: 0.5,
        }
        if self._kind == "sync":
            clients = SyncScripted(reply)
            transport = SyncAwsTransport(settings, clients)
            with SyncProducer(transport=transport, sleep=self.waits.append, **common) as producer:
                report = producer.send_batch(items)
            assert clients.closed
            return report, clients
        async_clients = AsyncScripted(reply)
        async_transport = AsyncAwsTransport(settings, async_clients)
        async with Producer(transport=async_transport, sleep=self._wait, **common) as opened:
            report = await opened.send_batch(items)
        assert async_clients.closed
        return report, async_clients

    async def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture(params=["async", "sync"])
def shell(request: pytest.FixtureRequest) -> Shell:
    return Shell(request.param)


def rebill(account_id: str = "acc-1") -> RebillAccounts:
    period = AccountPeriod(account_id=account_id, period_start=date(2026, 2, 28))
    return RebillAccounts(as_of=date(2026, 3, 2), accounts=(period,))


REBILLED: Event = AccountRebilled(
    account_id="acc-1",
    period_start=date(2026, 1, 31),
    period_end=date(2026, 2, 27),
    amount_minor=2990,
    currency="USD",
    next_period_on=date(2026, 2, 28),
    transfer_id=4,
)


def test_threads_do_not_stand_in_line_to_hear_that_aws_does_not_answer() -> None:
    both_ask = Barrier(2)

    def away(*_: object) -> dict[str, Any]:
        both_ask.wait(timeout=5)
        raise EndpointConnectionError(endpoint_url="https://sqs")

    transport = SyncAwsTransport(Connection(stack="st"), SyncScripted(away))
    message = Preparation("/unit").prepare(rebill("a"), tenant="acme")
    batch = Batch(message.route, (message,), (0,))
    with ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(transport.send, batch) for _ in range(2)]
    assert [type(end.exception()) for end in ends] == [EndpointUnreachable] * 2


async def test_queue_is_found_once_and_told_body_and_group(shell: Shell) -> None:
    report, clients = await shell.send([(rebill(str(n)), "acme") for n in range(25)], accept_all)
    assert len(report.sent) == 25
    assert clients.operations().count("get_queue_url") == 1
    assert clients.calls[0] == ("sqs", "get_queue_url", {"QueueName": "st-rebill"})
    sends = [parameters for _, name, parameters in clients.calls if name == "send_message_batch"]
    assert [len(send["Entries"]) for send in sends] == [10, 10, 5]
    assert {send["QueueUrl"] for send in sends} == {"https://sqs/st-rebill"}
    entry = sends[0]["Entries"][0]
    assert entry.keys() == {"Id", "MessageBody", "MessageGroupId"}
    assert entry["MessageGroupId"] == "acme"
    assert decode(entry["MessageBody"]).time == NOW
    assert report.sent[11].message_id == "m-1"


async def test_topic_is_found_in_the_callers_account_and_told_the_type(shell: Shell) -> None:
    _, clients = await shell.send([(REBILLED, "acme")], accept_all)
    assert clients.operations() == ["get_caller_identity", "publish_batch"]
    publish = clients.calls[1][2]
    assert publish["TopicArn"] == "arn:aws-cn:sns:cn-north-1:123456789012:st-events"
    [entry] = publish["PublishBatchRequestEntries"]
    assert entry["MessageGroupId"] == "acme"
    assert entry["MessageAttributes"] == {
        "type": {"DataType": "String", "StringValue": AccountRebilled.TYPE}
    }


async def test_given_topic_arn_needs_no_identity(shell: Shell) -> None:
    arn = "arn:aws:sns:eu-west-1:1:other"
    _, clients = await shell.send([(REBILLED, "acme")], accept_all, topic_arns={"events": arn})
    assert clients.operations() == ["publish_batch"]
    assert clients.calls[0][2]["TopicArn"] == arn


async def test_failed_entries_are_retried_alone_and_reported_with_awss_words(shell: Shell) -> None:
    rounds = 0

    def reply(service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        nonlocal rounds
        if operation != "send_message_batch":
            return accept_all(service, operation, parameters)
        rounds += 1
        if rounds > 1:
            return accept_all(service, operation, parameters)
        return {
            "Successful": [{"Id": "0", "MessageId": "m"}],
            "Failed": [
                {"Id": "1", "Code": "InternalError", "Message": "oops", "SenderFault": False},
                {"Id": "2", "Code": "InvalidMessageContents", "Message": "no", "SenderFault": True},
                {"Id": "3", "Code": "RequestThrottled", "Message": "slow", "SenderFault": True},
            ],
        }

    items = [(rebill(name), "acme") for name in ("ok", "server", "sender", "throttled", "left-out")]
    report, clients = await shell.send(items, reply)
    accounts = [
        decode(receipt.what.body).data.model_dump()["accounts"][0]["account_id"]
        for receipt in report.sent
    ]
    assert accounts == ["ok", "server", "throttled", "left-out"]
    [failure] = report.failed
    assert (failure.why, failure.code, failure.retriable) == ("no", "InvalidMessageContents", False)
    assert shell.waits == [0.05]
    assert [len(p["Entries"]) for _, n, p in clients.calls if n == "send_message_batch"] == [5, 3]


async def test_call_that_fails_for_now_is_made_again_and_one_that_fails_for_good_is_not(
    shell: Shell,
) -> None:
    errors: list[Exception] = [client_error("ThrottlingException"), client_error("X", 503)]

    def reply(service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        if operation == "send_message_batch" and errors:
            raise errors.pop(0)
        if operation == "publish_batch":
            raise client_error("AuthorizationError", 403)
        return accept_all(service, operation, parameters)

    report, clients = await shell.send([(rebill(), "acme"), (REBILLED, "acme")], reply)
    assert len(report.sent) == 1
    assert isinstance(report.failed[0].error, NotPermitted)
    assert clients.operations().count("send_message_batch") == 3
    assert clients.operations().count("publish_batch") == 1
    assert shell.waits == [0.05, 0.1]


async def test_fifo_ids_come_from_the_contract(shell: Shell) -> None:
    envelope = wrap(REBILLED, tenant="acme", source="/unit", now=NOW)
    spec = QueueSpec(name="points.fifo", worker="loyalty", fifo=True, group="subject")
    ordered = Outgoing.from_envelope(envelope, spec=spec)
    twin = wrap(REBILLED, tenant="beta", source="/unit", now=NOW)
    other_tenant = Outgoing.from_envelope(twin, spec=spec)
    _, clients = await shell.send([ordered, other_tenant], accept_all)
    first, second = clients.calls[1][2]["Entries"]
    assert clients.calls[0][2] == {"QueueName": "st-points.fifo"}
    assert (first["MessageGroupId"], second["MessageGroupId"]) == ("acme:acc-1", "beta:acc-1")
    assert len(first["MessageDeduplicationId"]) == 64
    assert first["MessageDeduplicationId"] != second["MessageDeduplicationId"]
    again = Outgoing.from_envelope(envelope.model_copy(update={"id": "other"}), spec=spec)
    assert again.deduplication_id == ordered.deduplication_id


def test_group_id_longer_than_sqs_allows_becomes_a_digest_of_it() -> None:
    envelope = wrap(REBILLED, tenant="t" * 63, source="/unit", now=NOW)
    spec = QueueSpec(name="points.fifo", worker="loyalty", fifo=True, group="subject")
    longest = envelope.model_copy(update={"subject": "s" * 64})
    too_long = envelope.model_copy(update={"subject": "s" * 65})
    assert Outgoing.from_envelope(longest, spec=spec).group_id == f"{'t' * 63}:{'s' * 64}"
    assert len(Outgoing.from_envelope(too_long, spec=spec).group_id or "") == 64


async def test_calls_in_flight_are_bounded() -> None:
    class Counting:
        now = most = 0

        async def send(self, batch: Batch) -> list[Answer]:
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0)
            self.now -= 1
            return [Accepted("m") for _ in batch.messages]

        async def store(self, large: LargeBody) -> None:
            raise AssertionError(large)

        async def close(self) -> None:
            return

    transport = Counting()
    producer = Producer(stack="x", source="/unit", calls_in_flight_max=2, transport=transport)
    async with producer:
        report = await producer.send_batch([(rebill(str(n)), "acme") for n in range(50)])
    assert len(report.sent) == 50
    assert transport.most == 2


@pytest.mark.parametrize(
    ("error", "kind", "retriable"),
    [
        (client_error("AWS.SimpleQueueService.NonExistentQueue"), QueueMissing, False),
        (client_error("NotFound", 404), QueueMissing, False),
        (client_error("AccessDenied", 403), NotPermitted, False),
        (client_error("ExpiredToken", 403), NotPermitted, False),
        (client_error("KmsThrottled"), SendFailed, True),
        (client_error("Whatever", 500), SendFailed, True),
        (client_error("Whatever", 429), SendFailed, True),
        (client_error("InvalidParameterValue"), SendFailed, False),
        (NoCredentialsError(), NotPermitted, False),
        (EndpointConnectionError(endpoint_url="http://x"), EndpointUnreachable, True),
        (ConnectTimeoutError(endpoint_url="http://x"), EndpointUnreachable, True),
        (ReadTimeoutError(endpoint_url="http://x"), EndpointUnreachable, True),
        (ConnectionResetError(), EndpointUnreachable, True),
        (ParamValidationError(report="x"), SendFailed, False),
    ],
)
def test_foreign_error_becomes_one_of_ours(
    error: Exception, kind: type[ProducerError], retriable: bool
) -> None:
    mapped = map_call_error(error, "st-rebill")
    assert (type(mapped), mapped.retriable) == (kind, retriable)
    assert mapped.why


def test_foreign_setup_error_becomes_one_of_ours() -> None:
    assert "AWS_REGION" in map_setup_error(NoRegionError()).why
    assert isinstance(map_setup_error(ValueError("Invalid endpoint: x")), ProducerMisconfigured)


def test_client_settings_leave_retries_to_us_and_format_the_user_agent_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    connection = Connection(stack="st", connect_timeout_s=1.5, read_timeout_s=2.5)
    config = connection.config_arguments()
    assert config["user_agent"].startswith("billfleet-producers/")
    assert config["parameter_validation"] is False
    assert config["retries"]["total_max_attempts"] == 1
    assert (config["connect_timeout"], config["read_timeout"]) == (1.5, 2.5)
    assert connection.client_arguments()["region_name"] == "eu-north-1"
    explicit = Connection(stack="st", region="us-west-2").client_arguments()
    assert explicit["region_name"] == "us-west-2"


def test_trace_of_the_caller_goes_along_unless_one_is_given() -> None:
    current = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-00"
    preparation = Preparation("/unit", traceparent=lambda: current)
    assert decode(preparation.prepare(rebill(), tenant="a").body).traceparent == current
    explicit = preparation.prepare(rebill(), tenant="a", traceparent=given)
    assert decode(explicit.body).traceparent == given


def test_trace_is_taken_from_opentelemetrys_current_span() -> None:
    from opentelemetry import trace

    from billfleet_producers.tracing import current_traceparent

    context = trace.SpanContext(
        0x4BF92F3577B34DA6A3CE929D0E0E4736,
        0xF067AA0BA902B7,
        is_remote=False,
        trace_flags=trace.TraceFlags(1),
    )
    assert current_traceparent() is None
    with trace.use_span(trace.NonRecordingSpan(context)):
        expected = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        assert current_traceparent() == expected


def run_python(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_library_imports_neither_the_fleet_nor_an_aws_client() -> None:
    code = (
        "import sys, billfleet_producers\n"
        "no = ('sqlalchemy', 'asyncpg', 'alembic', 'statsd', 'structlog', 'aiobotocore', 'boto3',"
        " 'botocore', 'billfleet_db', 'billfleet_workers', 'billfleet_ops')\n"
        "print([name for name in no if name in sys.modules])"
    )
    assert run_python(code) == "[]"


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_sending_to_a_queue_loads_botocore_and_no_heavier_client(kind: str) -> None:
    """The others cost 10 MB and 0.1 s, and are for topics, large bodies and proxies."""
    code = (
        "import os, sys\n"
        "os.environ |= dict(AWS_ACCESS_KEY_ID='a', AWS_SECRET_ACCESS_KEY='s', no_proxy='*')\n"
        "from datetime import date\n"
        "from billfleet_contracts import AccountPeriod, RebillAccounts\n"
        "from billfleet_producers import RetryPolicy\n"
        "due = AccountPeriod(account_id='a', period_start=date(2026, 2, 28))\n"
        "work = [(RebillAccounts(as_of=date(2026, 3, 2), accounts=(due,)), 'acme')]\n"
        "where = dict(stack='x', source='/x', region='us-east-1', retry=RetryPolicy(1))\n"
        "where['endpoint_url'] = 'http://127.0.0.1:1'\n"
        "async def send():\n"
        "    from billfleet_producers import Producer\n"
        "    async with Producer(**where) as producer: return await producer.send_batch(work)\n"
        "if sys.argv[1] == 'async': import asyncio; report = asyncio.run(send())\n"
        "else:\n"
        "    from billfleet_producers import SyncProducer\n"
        "    with SyncProducer(**where) as producer: report = producer.send_batch(work)\n"
        "assert report.failed[0].code == 'Unreachable', report\n"
        "no = ('aiobotocore', 'aiohttp', 'boto3', 's3transfer', 'opentelemetry', 'asyncio')\n"
        "print([name for name in no if name in sys.modules])"
    )
    assert run_python(code, kind) == ("['asyncio']" if kind == "async" else "[]")


def test_sync_producer_needs_no_aiobotocore_and_the_async_one_says_that_it_does() -> None:
    code = (
        "import asyncio, sys\n"
        "sys.modules['aiobotocore'] = None\n"
        "from billfleet_producers import Producer, ProducerMisconfigured, SyncProducer\n"
        "with SyncProducer(stack='x', source='/x', region='us-east-1'): print('sync')\n"
        "try: asyncio.run(Producer(stack='x', source='/x').__aenter__())\n"
        "except ProducerMisconfigured as error: print(error.why)\n"
    )
    said = run_python(code).splitlines()
    assert said[0] == "sync"
    assert "billfleet-producers[async]" in said[1]
