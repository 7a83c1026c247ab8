"""Benches for the conformance suites: a port, and what a test needs around it.

A way to put messages in, and a way to look at what arrived, in memory and on the real service.
The fixtures that build them are in `tests/conformance/conftest.py`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from billfleet_ops.clients import Clients
from billfleet_workers.adapters.memory_metrics import MemoryMetrics
from billfleet_workers.adapters.memory_publisher import MemoryPublisher
from billfleet_workers.adapters.memory_queue import MemoryQueue
from billfleet_workers.adapters.message_form import letter_attributes
from billfleet_workers.adapters.statsd import StatsdMetrics
from billfleet_workers.runtime.clock import ManualClock, SystemClock
from billfleet_workers.runtime.ports.dedupe import DedupeStore
from billfleet_workers.runtime.ports.metrics import Metrics
from billfleet_workers.runtime.ports.publisher import Publisher
from billfleet_workers.runtime.ports.queue import Queue

MAX_RECEIVE_COUNT = 3


@dataclass(frozen=True)
class Dead:
    """A message in the dead-letter queue."""

    body: str
    attributes: Mapping[str, str]
    group_id: str | None


class QueueBench(Protocol):
    @property
    def queue(self) -> Queue: ...

    async def send(self, *bodies: str, group_id: str | None = None, **attributes: str) -> None: ...

    async def depth(self) -> int: ...

    async def dead(self) -> list[Dead]: ...


class MemoryQueueBench:
    def __init__(self) -> None:
        self.queue = MemoryQueue("rebill", SystemClock(), max_receive_count=MAX_RECEIVE_COUNT)

    async def send(self, *bodies: str, group_id: str | None = None, **attributes: str) -> None:
        for body in bodies:
            self.queue.send(body, group_id=group_id, attributes=attributes)

    async def depth(self) -> int:
        return self.queue.depth

    async def dead(self) -> list[Dead]:
        return [Dead(one.body, one.attributes, one.group_id) for one in self.queue.dead_letters]


class SqsQueueBench:
    def __init__(self, queue: Queue, aws: Clients, url: str, dlq_url: str) -> None:
        self.queue = queue
        self._aws, self._url, self._dlq_url = aws, url, dlq_url

    async def send(self, *bodies: str, group_id: str | None = None, **attributes: str) -> None:
        spelled = {
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
        }
        for body in bodies:
            more: dict[str, Any] = {"MessageGroupId": group_id} if group_id else {}
            await asyncio.to_thread(
                self._aws.sqs.send_message,
                QueueUrl=self._url,
                MessageBody=body,
                MessageAttributes=cast("Any", spelled),
                **more,
            )

    async def depth(self) -> int:
        answer = await asyncio.to_thread(
            self._aws.sqs.get_queue_attributes, QueueUrl=self._url, AttributeNames=["All"]
        )
        found = answer["Attributes"]
        return int(found["ApproximateNumberOfMessages"]) + int(
            found["ApproximateNumberOfMessagesNotVisible"]
        )

    async def dead(self) -> list[Dead]:
        return await asyncio.to_thread(read_all, self._aws, self._dlq_url)


def read_all(aws: Clients, url: str) -> list[Dead]:
    """Every message that is visible in a queue; they stay hidden afterwards."""
    found: list[Dead] = []
    while True:
        answer = aws.sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages = answer.get("Messages", [])
        if not messages:
            return found
        for message in messages:
            attributes = {
                name: value["StringValue"]
                for name, value in message.get("MessageAttributes", {}).items()
            }
            group_id = message.get("Attributes", {}).get("MessageGroupId")
            found.append(Dead(message["Body"], attributes, group_id))


@dataclass
class DedupeBench:
    store: DedupeStore
    clock: ManualClock


class PublisherBench(Protocol):
    @property
    def publisher(self) -> Publisher: ...

    async def arrived(self, route_name: str) -> list[Dead]: ...


class MemoryPublisherBench:
    def __init__(self) -> None:
        self.publisher = MemoryPublisher()

    async def arrived(self, route_name: str) -> list[Dead]:
        return [
            Dead(
                letter.body,
                letter_attributes(letter),
                letter.group_id if letter.route_kind == "queue" else None,
            )
            for letter in self.publisher.published
            if letter.route_name == route_name
        ]


class AwsPublisherBench:
    def __init__(self, publisher: Publisher, aws: Clients, urls: Mapping[str, str]) -> None:
        self.publisher = publisher
        self._aws, self._urls = aws, urls

    async def arrived(self, route_name: str) -> list[Dead]:
        return await asyncio.to_thread(read_all, self._aws, self._urls[route_name])


class MetricsBench(Protocol):
    @property
    def metrics(self) -> Metrics: ...

    async def seen(self) -> set[tuple[str, str, float]]: ...


class MemoryMetricsBench:
    def __init__(self) -> None:
        self.metrics = MemoryMetrics()

    async def seen(self) -> set[tuple[str, str, float]]:
        held = self.metrics
        return (
            {(name, "c", float(value)) for (name, _), value in held.counters.items()}
            | {(name, "ms", ms) for (name, _), all_ms in held.recorded.items() for ms in all_ms}
            | {(name, "g", value) for (name, _), value in held.gauges.items()}
        )


@dataclass
class Receiver(asyncio.DatagramProtocol):
    """A statsd of our own: keeps datagrams, and says when one came."""

    datagrams: list[bytes] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self.datagrams.append(data)
        self.came.set()

    def lines(self) -> list[str]:
        return [line for data in self.datagrams for line in data.decode().split("\n")]


class StatsdMetricsBench:
    def __init__(self, metrics: StatsdMetrics, receiver: Receiver) -> None:
        self.metrics = metrics
        self._receiver = receiver

    async def seen(self) -> set[tuple[str, str, float]]:
        self.metrics.flush()
        async with asyncio.timeout(5):
            await self._receiver.came.wait()
        # On loopback what was sent is in the socket already; the loop reads one datagram a turn.
        for _ in range(100):
            await asyncio.sleep(0)
        figures = set()
        for line in self._receiver.lines():
            name, _, figure = line.partition(":")
            value, kind = figure.split("|")
            figures.add((name.split(".")[1], kind, float(value)))
        return figures
