"""Fixtures for tests that need an AWS endpoint: one emulator per session, names per test.

`tests/conftest.py` registers it. A test takes `stack_name` (its own, so nothing is shared),
`aws` (clients) and one of `queues` (fast, through the SQS API) or `deployed_stack` (slower,
through the templates, with topic and table). It must not know any worker.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import pytest

from billfleet_contracts import QUEUES
from billfleet_ops.clients import Clients
from billfleet_ops.local import ports
from billfleet_ops.local.aws import LOCAL_CREDENTIALS, REGION, EmbeddedAws
from billfleet_ops.local.deploy import deploy

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def embedded_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    """The emulator of this session (of this worker, under xdist); it keeps nothing."""
    server = EmbeddedAws(tmp_path_factory.mktemp("aws-home"), keep_state=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def aws_endpoint(embedded_aws: EmbeddedAws) -> str:
    """The URL of the emulator, for AWS_ENDPOINT_URL."""
    return embedded_aws.endpoint_url


@pytest.fixture(scope="session")
def aws(aws_endpoint: str) -> Clients:
    """Synchronous clients for it."""
    key_id, secret = LOCAL_CREDENTIALS.values()
    return Clients(region=REGION, endpoint_url=aws_endpoint, credentials=(key_id, secret))


@pytest.fixture
def aws_environment(embedded_aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The emulator as the ordinary AWS variables, set for the duration of the test."""
    variables = embedded_aws.environment()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def stack_name() -> str:
    """A stack of this test's own; queue names begin with it."""
    return f"test-{next(_numbers)}"


@pytest.fixture
def deployed_stack(aws: Clients, stack_name: str) -> str:
    """`stack_name`, deployed from the templates: queues, dead-letter queues, topic and table."""
    deploy(aws, stack_name)
    return stack_name


@pytest.fixture
def closed_port() -> Callable[[], int]:
    """Gives a loopback port on which nobody listens."""

    def choose_one() -> int:
        return ports.choose("nobody listens here")

    return choose_one


@pytest.fixture
def create_queue(aws: Clients, stack_name: str) -> Callable[..., str]:
    """Creates one queue of this test's stack by its logical name and returns its URL."""

    def create(name: str, attributes: Mapping[str, str] | None = None) -> str:
        given = cast("dict[Any, str]", dict(attributes or {}))
        answer = aws.sqs.create_queue(QueueName=f"{stack_name}-{name}", Attributes=given)
        return answer["QueueUrl"]

    return create


@pytest.fixture
def queues(create_queue: Callable[..., str]) -> dict[str, str]:
    """The URLs of all queues of the catalogue and their DLQs, without long waits or redrive.

    Redrive is left out on purpose: use `deployed_stack` where the receive count matters.
    """
    urls: dict[str, str] = {}
    for spec in QUEUES.values():
        fifo = {"FifoQueue": "true"} if spec.fifo else {}
        timeout = {"VisibilityTimeout": str(spec.visibility_timeout_s)}
        urls[spec.name] = create_queue(spec.name, {**fifo, **timeout})
        urls[spec.dlq_name] = create_queue(spec.dlq_name, fifo)
    return urls
