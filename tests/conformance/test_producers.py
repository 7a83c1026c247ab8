"""One exam for every producer: async and sync against a real endpoint, and both recordings."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import date
from typing import Any

import pytest

from billfleet_contracts import (
    AccountPeriod,
    AccountRebilled,
    ContractError,
    Event,
    RebillAccounts,
    Route,
    decode,
)
from billfleet_producers import (
    EndpointUnreachable,
    MessageTooLarge,
    NotPermitted,
    Outgoing,
    Producer,
    ProducerMisconfigured,
    ProducerNotOpen,
    QueueMissing,
    Receipt,
    RecordingProducer,
    RecordingSyncProducer,
    Report,
    RetryPolicy,
    SyncProducer,
)
from conformance.producer_endpoint import REGION, Received, TestStack
from faulty_endpoint import FaultPlan, FaultyEndpoint

ONCE = RetryPolicy(attempts_max=1)
KINDS = ("async", "sync", "recording", "recording-sync")


class InThread:
    """A blocking producer behind the async face."""

    def __init__(self, producer: SyncProducer) -> None:
        self._producer = producer
        self._prepare = producer.prepare

    def prepare(self, event: Event, **arguments: Any) -> Outgoing:
        return self._prepare(event, **arguments)

    async def send(self, event: Event, **arguments: Any) -> Receipt:
        return await asyncio.to_thread(self._producer.send, event, **arguments)

    async def send_batch(self, items: Any) -> Report:
        return await asyncio.to_thread(self._producer.send_batch, items)


AnyProducer = Producer | InThread


class Exam:
    """A producer, and a look at what arrived where it sends to."""

    def __init__(self, producer: AnyProducer, received: Callable[[str], list[Received]]) -> None:
        self.producer = producer
        self.received = received


def heard_by(
    recording: RecordingProducer | RecordingSyncProducer,
) -> Callable[[str], list[Received]]:
    def received(queue: str) -> list[Received]:
        name = "events" if queue == "heard" else queue
        return [
            Received(message.body, message.group_id, message.attributes)
            for message in recording.sent
            if message.route.name == name
        ]

    return received


@pytest.fixture
def endpoint_url(aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The emulator, as an argument: the variable is for the tests that say so."""
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    return aws_environment["AWS_ENDPOINT_URL"]


@pytest.fixture
def stack(endpoint_url: str, stack_name: str) -> Iterator[TestStack]:
    stack = TestStack(stack_name, endpoint_url)
    stack.create()
    yield stack
    stack.close()


@pytest.fixture(params=KINDS)
async def exam(request: pytest.FixtureRequest) -> AsyncIterator[Exam]:
    async with AsyncExitStack() as opened:
        if request.param == "recording":
            recording = await opened.enter_async_context(RecordingProducer(source="/exam"))
            yield Exam(recording, heard_by(recording))
        elif request.param == "recording-sync":
            sync_recording = opened.enter_context(RecordingSyncProducer(source="/exam"))
            yield Exam(InThread(sync_recording), heard_by(sync_recording))
        else:
            stack: TestStack = request.getfixturevalue("stack")
            url = request.getfixturevalue("endpoint_url")
            arguments = {"stack": stack.name, "source": "/exam", "endpoint_url": url}
            producer = await open_real(opened, request.param, **arguments)
            yield Exam(producer, stack.received)


async def open_real(opened: AsyncExitStack, kind: str, **arguments: Any) -> AnyProducer:
    if kind == "async":
        return await opened.enter_async_context(Producer(**arguments))
    return InThread(opened.enter_context(SyncProducer(**arguments)))


def rebill(account_id: str = "acc-1") -> RebillAccounts:
    period = AccountPeriod(account_id=account_id, period_start=date(2026, 2, 28))
    return RebillAccounts(as_of=date(2026, 3, 2), accounts=(period,))


REBILLED = AccountRebilled(
    account_id="acc-1",
    period_start=date(2026, 1, 31),
    period_end=date(2026, 2, 27),
    amount_minor=2990,
    currency="USD",
    next_period_on=date(2026, 2, 28),
    transfer_id=4,
)


def raw(body: str, *, queue: str = "rebill", **arguments: Any) -> Outgoing:
    arguments = {"group_id": "acme", "event_id": body[:10], **arguments}
    return Outgoing.from_body(body, route=Route("queue", queue), **arguments)


async def test_sent_request_waits_in_the_queue_of_its_worker(exam: Exam) -> None:
    receipt = await exam.producer.send(rebill(), tenant="acme", dedupe_key="mine")
    [received] = exam.received("rebill")
    envelope = decode(received.body)
    assert (envelope.id, envelope.data) == (receipt.event_id, rebill())
    assert (envelope.tenant, envelope.source, envelope.dedupekey) == ("acme", "/exam", "mine")
    assert receipt.message_id
    assert exam.received("collect") == []


async def test_message_of_a_standard_queue_is_grouped_by_tenant(exam: Exam) -> None:
    await exam.producer.send_batch([(rebill("a"), "acme"), (rebill("b"), "beta")])
    groups = {decode(one.body).tenant: one.group_id for one in exam.received("rebill")}
    assert groups == {"acme": "acme", "beta": "beta"}


async def test_sent_fact_reaches_the_topics_subscribers_with_its_type(exam: Exam) -> None:
    receipt = await exam.producer.send(REBILLED, tenant="acme")
    [received] = exam.received("heard")
    assert decode(received.body).id == receipt.event_id
    assert received.attributes == {"type": AccountRebilled.TYPE}


async def test_batch_of_both_kinds_arrives_whole_and_is_reported_in_order(exam: Exam) -> None:
    events = [rebill(f"acc-{number}") for number in range(23)]
    items: list[tuple[Event, str]] = [(event, "acme") for event in events]
    items.insert(7, (REBILLED, "acme"))
    report = await exam.producer.send_batch(items)
    report.raise_for_failures()
    assert report.failed == ()
    assert [decode(receipt.what.body).data for receipt in report.sent] == [e for e, _ in items]
    arrived = {decode(one.body).data for one in exam.received("rebill")}
    assert arrived == set(events)
    assert len(exam.received("heard")) == 1


async def test_empty_batch_is_an_empty_report(exam: Exam) -> None:
    assert await exam.producer.send_batch([]) == Report(sent=(), failed=())


async def test_stored_body_is_sent_as_it_is(exam: Exam) -> None:
    prepared = exam.producer.prepare(rebill(), tenant="acme")
    again = Outgoing.from_body(
        prepared.body, route=prepared.route, group_id="acme", event_id=prepared.event_id
    )
    report = await exam.producer.send_batch([again])
    assert [receipt.event_id for receipt in report.sent] == [prepared.event_id]
    assert [one.body for one in exam.received("rebill")] == [prepared.body]


async def test_batches_are_cut_by_bytes(exam: Exam) -> None:
    bodies = [letter * 600_000 for letter in "abc"]
    report = await exam.producer.send_batch([raw(body) for body in bodies])
    assert len(report.sent) == 3
    assert {one.body for one in exam.received("rebill")} == set(bodies)


async def test_largest_message_passes_and_one_byte_more_fails_alone(exam: Exam) -> None:
    fits, too_large = raw("é" * 524_288), raw("x" * 1_048_577)
    report = await exam.producer.send_batch([too_large, fits, raw("small")])
    [failure] = report.failed
    assert [receipt.what.body[:5] for receipt in report.sent] == ["é" * 5, "small"]
    assert isinstance(failure.error, MessageTooLarge)
    assert (failure.what, failure.code, failure.retriable) == (too_large, "MessageTooLarge", False)
    assert "1048577" in failure.why
    assert len(exam.received("rebill")) == 2


async def test_event_that_breaks_the_contract_sends_nothing_of_its_batch(exam: Exam) -> None:
    with pytest.raises(ContractError):
        await exam.producer.send_batch([(rebill(), "acme"), (rebill(), "Not A Tenant")])
    assert exam.received("rebill") == []


async def test_producer_that_is_not_open_says_so(exam: Exam) -> None:
    closed = Producer(stack="x", source="/exam")
    with pytest.raises(ProducerNotOpen):
        await closed.send(rebill(), tenant="acme")
    async with RecordingProducer() as recording:
        pass
    with pytest.raises(ProducerNotOpen):
        await recording.send(rebill(), tenant="acme")
    with pytest.raises(ProducerNotOpen):
        SyncProducer(stack="x", source="/exam").send(rebill(), tenant="acme")


REAL = pytest.mark.parametrize("kind", ["async", "sync"])


@REAL
async def test_fifo_group_keeps_its_order_and_drops_what_was_sent_before(
    kind: str, stack: TestStack, endpoint_url: str
) -> None:
    ordered = [
        raw(f"{n}", queue="ordered.fifo", group_id="card", deduplication_id=f"d-{n}")
        for n in range(5)
    ]
    async with AsyncExitStack() as opened:
        producer = await open_real(
            opened, kind, stack=stack.name, source="/exam", endpoint_url=endpoint_url
        )
        first = await producer.send_batch(ordered)
        again = await producer.send_batch(ordered)
    assert len(first.sent) == len(again.sent) == 5
    assert [receipt.sequence_number for receipt in first.sent] == sorted(
        str(receipt.sequence_number) for receipt in first.sent
    )
    assert [one.body for one in stack.received("ordered.fifo")] == ["0", "1", "2", "3", "4"]


@REAL
async def test_missing_stack_is_named_and_does_not_stop_other_routes(
    kind: str, stack: TestStack, endpoint_url: str
) -> None:
    async with AsyncExitStack() as opened:
        producer = await open_real(
            opened, kind, stack=stack.name, source="/exam", endpoint_url=endpoint_url
        )
        report = await producer.send_batch([raw("lost", queue="nowhere"), (rebill(), "acme")])
        absent = await open_real(
            opened, kind, stack="absent", source="/exam", endpoint_url=endpoint_url
        )
        with pytest.raises(QueueMissing, match="absent-rebill does not exist"):
            await absent.send(rebill(), tenant="acme")
        with pytest.raises(QueueMissing, match="absent-events does not exist"):
            await absent.send(REBILLED, tenant="acme")
    assert [failure.what.body for failure in report.failed] == ["lost"]
    assert isinstance(report.failed[0].error, QueueMissing)
    assert len(report.sent) == 1


@REAL
async def test_what_is_reported_as_sent_has_arrived_whatever_the_endpoint_does(
    kind: str, stack: TestStack, endpoint_url: str
) -> None:
    """Errors before and after the work, and cut connections: what comes twice has the same key."""
    plan = FaultPlan(seed=7, refused_before=0.2, lost_after=0.2, cut=0.2, services=("AmazonSQS",))
    retry = RetryPolicy(attempts_max=3, backoff_base_s=0.0)
    async with FaultyEndpoint(endpoint_url, plan) as endpoint, AsyncExitStack() as opened:
        arguments = {"stack": stack.name, "source": "/exam", "endpoint_url": endpoint.url}
        producer = await open_real(opened, kind, retry=retry, **arguments)
        report = await producer.send_batch([(rebill(f"a-{n}"), "acme") for n in range(300)])
    assert plan.counts.keys() == {"refused_before", "lost_after", "cut"}
    arrived = [decode(one.body) for one in await asyncio.to_thread(stack.received, "rebill")]
    keys = {envelope.id: envelope.dedupekey for envelope in arrived}
    sent = {receipt.event_id for receipt in report.sent}
    assert sent <= keys.keys()
    assert len(sent) + len(report.failed) == 300
    assert all(failure.retriable for failure in report.failed)
    assert len(set(keys.values())) == len(keys) < len(arrived)


@REAL
async def test_unreachable_endpoint_is_retriable_and_named(kind: str, endpoint_url: str) -> None:
    async with AsyncExitStack() as opened:
        producer = await open_real(
            opened, kind, stack="x", source="/exam", endpoint_url="http://127.0.0.1:9", retry=ONCE
        )
        with pytest.raises(EndpointUnreachable, match=r"127\.0\.0\.1:9") as caught:
            await producer.send(rebill(), tenant="acme")
    assert caught.value.retriable


@REAL
async def test_missing_region_and_credentials_and_bad_endpoint_are_named(
    kind: str, endpoint_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as opened:
        bad = await open_real(opened, kind, stack="x", source="/exam", endpoint_url="nonsense")
        with pytest.raises(ProducerMisconfigured, match="nonsense"):
            await bad.send(rebill(), tenant="acme")
        for name in (
            "AWS_REGION",
            "AWS_DEFAULT_REGION",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
        ):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        arguments = {"stack": "x", "source": "/exam", "endpoint_url": endpoint_url}
        nowhere = await open_real(opened, kind, **arguments)
        with pytest.raises(ProducerMisconfigured, match="region"):
            await nowhere.send(rebill(), tenant="acme")
        nobody = await open_real(opened, kind, region=REGION, **arguments)
        with pytest.raises(NotPermitted):
            await nobody.send(rebill(), tenant="acme")
