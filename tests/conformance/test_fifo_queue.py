"""A FIFO queue through the adapters: names, order within a group, and burying."""

from collections.abc import AsyncIterator, Callable

import pytest

from billfleet_contracts import QUEUES
from billfleet_ops.clients import Clients
from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.aws_publisher import AwsPublisher
from billfleet_workers.adapters.sqs import SqsQueue
from billfleet_workers.runtime.ports.publisher import Letter
from billfleet_workers.runtime.ports.queue import Burial
from port_benches import read_all

NAME = "loyalty.fifo"
FIFO = {"FifoQueue": "true"}


@pytest.fixture
async def fifo(
    aws_clients: AwsClients, create_queue: Callable[..., str], stack_name: str
) -> AsyncIterator[tuple[SqsQueue, str, str]]:
    url, dlq_url = create_queue(NAME, FIFO), create_queue(QUEUES[NAME].dlq_name, FIFO)
    queue = await SqsQueue.open(aws_clients, stack=stack_name, name=NAME)
    yield queue, url, dlq_url
    await queue.close()


async def test_a_fifo_queue_finds_its_dead_letter_queue_by_the_contracts_name(
    fifo: tuple[SqsQueue, str, str],
) -> None:
    await fifo[0].check()


async def test_messages_are_buried_in_a_fifo_queue_each_once_with_their_group(
    fifo: tuple[SqsQueue, str, str], aws: Clients
) -> None:
    """The same body twice is two messages; the same message buried twice is one."""
    queue, _, dlq_url = fifo
    burials = [
        Burial("m1", "body", {"reason": "poison"}, "acme:card-1"),
        Burial("m2", "body", {"reason": "poison"}, "acme:card-1"),
        Burial("m3", "other", {}, None),
    ]
    assert list(await queue.bury(burials)) == [None] * 3
    assert list(await queue.bury(burials[:1])) == [None]
    found = [(dead.body, dead.group_id) for dead in read_all(aws, dlq_url)]
    assert sorted(found) == [
        ("body", "acme:card-1"),
        ("body", "acme:card-1"),
        ("other", "m3"),
    ]


async def test_the_publisher_sends_an_event_to_a_fifo_queue_once(
    fifo: tuple[SqsQueue, str, str], aws_clients: AwsClients, aws: Clients, stack_name: str
) -> None:
    publisher = await AwsPublisher.open(aws_clients, stack=stack_name)
    letter = Letter(
        event_id="e1",
        event_type="billfleet.loyalty.add_points.v1",
        tenant="acme",
        body="{}",
        route_kind="queue",
        route_name=NAME,
        group_id="acme:card-1",
    )
    for _ in range(2):
        assert list(await publisher.publish([letter])) == [None]
    await publisher.close()
    assert [(dead.body, dead.group_id) for dead in read_all(aws, fifo[1])] == [
        ("{}", "acme:card-1")
    ]
