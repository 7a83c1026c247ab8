"""What the conformance suites run over: each port in memory, and on its real service.

The real ones speak to the emulator of `fixtures_stack`, through the SDK and through the lean
clients.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest

from billfleet_ops.clients import Clients
from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.aws_lean import LeanAwsClients
from billfleet_workers.adapters.aws_publisher import AwsPublisher
from billfleet_workers.adapters.dynamodb import DynamoDedupeStore
from billfleet_workers.adapters.dynamodb_audit import DynamoAuditTrail
from billfleet_workers.adapters.dynamodb_view import DynamoTransactionView
from billfleet_workers.adapters.memory_audit import MemoryAuditTrail
from billfleet_workers.adapters.memory_dedupe import MemoryDedupeStore
from billfleet_workers.adapters.memory_objects import MemoryObjectStore
from billfleet_workers.adapters.memory_publisher import MemoryPublisher
from billfleet_workers.adapters.memory_queue import MemoryQueue
from billfleet_workers.adapters.memory_view import MemoryTransactionView
from billfleet_workers.adapters.s3_objects import S3ObjectStore
from billfleet_workers.adapters.sqs import SqsQueue
from billfleet_workers.adapters.statsd import StatsdMetrics
from billfleet_workers.runtime.clock import ManualClock, SystemClock
from billfleet_workers.runtime.ports.audit import AuditTrail
from billfleet_workers.runtime.ports.dedupe import DedupeStore
from billfleet_workers.runtime.ports.objects import ObjectStore
from billfleet_workers.runtime.ports.publisher import Publisher
from billfleet_workers.runtime.ports.queue import Queue
from billfleet_workers.runtime.ports.transaction_view import TransactionView
from port_benches import (
    MAX_RECEIVE_COUNT,
    AwsPublisherBench,
    DedupeBench,
    MemoryMetricsBench,
    MemoryPublisherBench,
    MemoryQueueBench,
    MetricsBench,
    PublisherBench,
    QueueBench,
    Receiver,
    SqsQueueBench,
    StatsdMetricsBench,
)


def make_clients(kind: str, environment: dict[str, str], endpoint_url: str) -> AwsClients:
    """The adapters' clients: the SDK's or the lean ones."""
    region = environment["AWS_REGION"]
    if kind == "sdk":
        return AwsClients(region=region, endpoint_url=endpoint_url)
    return LeanAwsClients(
        region=region, endpoint_url=endpoint_url, clock=SystemClock(), jitter=lambda: 0.5
    )


@pytest.fixture(params=["sdk", "lean"])
def aws_clients(request: pytest.FixtureRequest, aws_environment: dict[str, str]) -> AwsClients:
    """The adapters' clients, on the emulator."""
    return make_clients(request.param, aws_environment, aws_environment["AWS_ENDPOINT_URL"])


def nowhere(kind: str, environment: dict[str, str]) -> AwsClients:
    """The adapters' clients, on a port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    return make_clients(kind, environment, f"http://127.0.0.1:{port}")


@pytest.fixture(params=["memory", "sdk", "lean"])
async def queue_bench(request: pytest.FixtureRequest) -> AsyncIterator[QueueBench]:
    """A queue with its dead-letter queue, empty."""
    if request.param == "memory":
        yield MemoryQueueBench()
        return
    create: Callable[..., str] = request.getfixturevalue("create_queue")
    aws: Clients = request.getfixturevalue("aws")
    dlq_url = create("rebill-dlq")
    described = aws.sqs.get_queue_attributes(QueueUrl=dlq_url, AttributeNames=["QueueArn"])
    redrive = {
        "deadLetterTargetArn": described["Attributes"]["QueueArn"],
        "maxReceiveCount": MAX_RECEIVE_COUNT,
    }
    url = create("rebill", {"RedrivePolicy": json.dumps(redrive)})
    environment: dict[str, str] = request.getfixturevalue("aws_environment")
    clients = make_clients(request.param, environment, environment["AWS_ENDPOINT_URL"])
    queue = await SqsQueue.open(clients, stack=request.getfixturevalue("stack_name"), name="rebill")
    yield SqsQueueBench(queue, aws, url, dlq_url)
    await queue.close()


@pytest.fixture(params=["memory", "sdk", "lean"])
async def away_queue(request: pytest.FixtureRequest) -> AsyncIterator[Queue]:
    """A queue whose service can't be reached."""
    if request.param == "memory":
        queue = MemoryQueue("rebill", SystemClock())
        queue.faults.take_away()
        yield queue
        return
    clients = nowhere(request.param, request.getfixturevalue("aws_environment"))
    sqs = await SqsQueue.open(clients, stack="test", name="rebill")
    yield sqs
    await sqs.close()


def manual_clock() -> ManualClock:
    """A clock that starts now, so that no record looks expired to the emulator."""
    return ManualClock(datetime.now(UTC))


@pytest.fixture(params=["memory", "sdk", "lean"])
async def dedupe_bench(request: pytest.FixtureRequest) -> AsyncIterator[DedupeBench]:
    """An empty dedupe store whose time stands still."""
    clock = manual_clock()
    if request.param == "memory":
        yield DedupeBench(MemoryDedupeStore(clock), clock)
        return
    stack: str = request.getfixturevalue("dedupe_stack")
    environment: dict[str, str] = request.getfixturevalue("aws_environment")
    clients = make_clients(request.param, environment, environment["AWS_ENDPOINT_URL"])
    store = await DynamoDedupeStore.open(clients, stack=stack, clock=clock)
    yield DedupeBench(store, clock)
    await store.close()


@pytest.fixture
def dedupe_stack(aws: Clients, stack_name: str) -> str:
    """A stack that has the dedupe table, and nothing else."""
    aws.dynamodb.create_table(
        TableName=f"{stack_name}-dedupe",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return stack_name


@pytest.fixture(params=["memory", "sdk", "lean"])
async def away_store(request: pytest.FixtureRequest) -> AsyncIterator[DedupeStore]:
    """A dedupe store whose service can't be reached."""
    if request.param == "memory":
        store = MemoryDedupeStore(SystemClock())
        store.faults.take_away()
        yield store
        return
    clients = nowhere(request.param, request.getfixturevalue("aws_environment"))
    dynamodb = await DynamoDedupeStore.open(clients, stack="test", clock=SystemClock())
    yield dynamodb
    await dynamodb.close()


@pytest.fixture(params=["memory", "sdk", "lean"])
async def publisher_bench(request: pytest.FixtureRequest) -> AsyncIterator[PublisherBench]:
    """A publisher with the queue `rebill` and the topic `events`, to which a queue listens."""
    if request.param == "memory":
        yield MemoryPublisherBench()
        return
    aws: Clients = request.getfixturevalue("aws")
    create: Callable[..., str] = request.getfixturevalue("create_queue")
    stack: str = request.getfixturevalue("stack_name")
    urls = {"rebill": create("rebill"), "events": create("listener")}
    topic_arn = aws.sns.create_topic(Name=f"{stack}-events")["TopicArn"]
    described = aws.sqs.get_queue_attributes(QueueUrl=urls["events"], AttributeNames=["QueueArn"])
    aws.sns.subscribe(
        TopicArn=topic_arn,
        Protocol="sqs",
        Endpoint=described["Attributes"]["QueueArn"],
        Attributes={"RawMessageDelivery": "true"},
    )
    environment: dict[str, str] = request.getfixturevalue("aws_environment")
    clients = make_clients(request.param, environment, environment["AWS_ENDPOINT_URL"])
    publisher = await AwsPublisher.open(clients, stack=stack)
    yield AwsPublisherBench(publisher, aws, urls)
    await publisher.close()


@pytest.fixture(params=["memory", "sdk", "lean"])
async def away_publisher(request: pytest.FixtureRequest) -> AsyncIterator[Publisher]:
    """A publisher whose services can't be reached."""
    if request.param == "memory":
        publisher = MemoryPublisher()
        publisher.faults.take_away()
        yield publisher
        return
    clients = nowhere(request.param, request.getfixturevalue("aws_environment"))
    real = await AwsPublisher.open(clients, stack="test")
    yield real
    await real.close()


@pytest.fixture(params=["memory", "sdk", "lean"])
async def view(request: pytest.FixtureRequest) -> AsyncIterator[TransactionView]:
    """An empty view of transactions."""
    if request.param == "memory":
        yield MemoryTransactionView()
        return
    environment: dict[str, str] = request.getfixturevalue("aws_environment")
    clients = make_clients(request.param, environment, environment["AWS_ENDPOINT_URL"])
    stack: str = request.getfixturevalue("deployed_stack")
    real = await DynamoTransactionView.open(clients, stack=stack, clock=SystemClock())
    yield real
    await real.close()


@pytest.fixture(params=["memory", "sdk", "lean"])
async def trail(request: pytest.FixtureRequest) -> AsyncIterator[AuditTrail]:
    """An empty audit trail."""
    clock = manual_clock()
    if request.param == "memory":
        yield MemoryAuditTrail(clock)
        return
    environment: dict[str, str] = request.getfixturevalue("aws_environment")
    clients = make_clients(request.param, environment, environment["AWS_ENDPOINT_URL"])
    stack: str = request.getfixturevalue("deployed_stack")
    real = await DynamoAuditTrail.open(clients, stack=stack, clock=clock)
    yield real
    await real.close()


@pytest.fixture
async def statsd_receiver() -> AsyncIterator[tuple[Receiver, int]]:
    """A UDP socket that listens, and its port."""
    transport, receiver = await asyncio.get_running_loop().create_datagram_endpoint(
        Receiver, local_addr=("127.0.0.1", 0)
    )
    yield receiver, transport.get_extra_info("sockname")[1]
    transport.close()


@pytest.fixture(params=["memory", "statsd"])
async def metrics_bench(
    request: pytest.FixtureRequest, statsd_receiver: tuple[Receiver, int]
) -> AsyncIterator[MetricsBench]:
    """Metrics, and what of them arrived."""
    if request.param == "memory":
        yield MemoryMetricsBench()
        return
    receiver, port = statsd_receiver
    metrics = StatsdMetrics("127.0.0.1", port)
    yield StatsdMetricsBench(metrics, receiver)
    metrics.close()


@pytest.fixture(params=["memory", "s3"])
async def objects(request: pytest.FixtureRequest) -> AsyncIterator[ObjectStore]:
    """An empty object store."""
    if request.param == "memory":
        yield MemoryObjectStore(SystemClock())
        return
    bucket = f"{request.getfixturevalue('stack_name')}-files"
    request.getfixturevalue("aws").s3.create_bucket(Bucket=bucket)
    environment: dict[str, str] = request.getfixturevalue("aws_environment")
    clients = make_clients("sdk", environment, environment["AWS_ENDPOINT_URL"])
    store = await S3ObjectStore.open(clients, bucket=bucket)
    yield store
    await store.close()


@pytest.fixture(params=["memory", "s3"])
async def away_objects(request: pytest.FixtureRequest) -> AsyncIterator[ObjectStore]:
    """An object store that can't be reached."""
    if request.param == "memory":
        store = MemoryObjectStore(SystemClock())
        store.faults.take_away()
        yield store
        return
    clients = nowhere("sdk", request.getfixturevalue("aws_environment"))
    real = await S3ObjectStore.open(clients, bucket="test-files")
    yield real
    await real.close()
