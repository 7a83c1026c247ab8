"""What every dead-letters adapter promises, in memory and on SQS."""

from collections.abc import AsyncIterator, Callable

import pytest

from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.memory_dead_letters import MemoryDeadLetters
from billfleet_workers.adapters.sqs_dead_letters import SqsDeadLetters
from billfleet_workers.runtime.clock import SystemClock
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.dead_letters import Attribute, Copy, DeadLetters, DeadMessage
from billfleet_workers.runtime.ports.queue import Hiding

MIB = 1024 * 1024
Create = Callable[[str], str]


@pytest.fixture(params=["memory", "sqs"])
async def room(request: pytest.FixtureRequest) -> AsyncIterator[tuple[DeadLetters, Create]]:
    """The port, and what makes queues."""
    if request.param == "memory":
        memory = MemoryDeadLetters(SystemClock())
        yield memory, memory.create
        return
    create_queue: Callable[..., str] = request.getfixturevalue("create_queue")
    environment: dict[str, str] = request.getfixturevalue("aws_environment")
    clients = AwsClients(
        region=environment["AWS_REGION"], endpoint_url=environment["AWS_ENDPOINT_URL"]
    )

    def create(name: str) -> str:
        return create_queue(name, {"FifoQueue": "true"} if name.endswith(".fifo") else {})

    letters = await SqsDeadLetters.open(clients)
    yield letters, create
    await letters.close()


async def take_all(letters: DeadLetters, url: str, count: int) -> list[DeadMessage]:
    taken: list[DeadMessage] = []
    while len(taken) < count:
        more = await letters.receive(url, limit=10, wait_s=2, visibility_timeout_s=60)
        assert more
        taken += more
    return taken


async def test_message_keeps_its_bytes_its_group_and_attributes_of_every_kind(
    room: tuple[DeadLetters, Create],
) -> None:
    letters, create = room
    url = create("dlq")
    attributes = {
        "reason": Attribute("String", "é \U0001f9fe"),
        "attempt": Attribute("Number", "7"),
        "blob": Attribute("Binary", data=bytes(range(256))),
    }
    body = ' {"a" : "é \\u00e9",\r\n\t"b":1} \n'
    assert list(await letters.send(url, [Copy(body, attributes, "acme")])) == [None]
    [one] = await take_all(letters, url, 1)
    assert (one.body, one.group_id, dict(one.attributes)) == (body, "acme", attributes)
    assert one.receive_count == 1
    assert one.source_arn is None


async def test_queue_is_described_by_name_and_by_url_and_counts(
    room: tuple[DeadLetters, Create],
) -> None:
    letters, create = room
    url = create("dlq")
    await letters.send(url, [Copy("a"), Copy("b")])
    by_url = await letters.describe(url)
    assert by_url is not None
    assert by_url == await letters.describe(by_url.name)
    assert by_url == await letters.describe(by_url.arn)
    assert (by_url.url, by_url.is_fifo, by_url.waiting, by_url.in_flight) == (url, False, 2, 0)
    await letters.receive(url, limit=1, wait_s=0, visibility_timeout_s=60)
    after = await letters.describe(url)
    assert after is not None
    assert (after.waiting, after.in_flight) == (1, 1)


async def test_queue_that_does_not_exist_is_none(room: tuple[DeadLetters, Create]) -> None:
    letters, _ = room
    assert await letters.describe("no-such-queue") is None


async def test_hidden_for_no_time_it_is_back_at_once(room: tuple[DeadLetters, Create]) -> None:
    letters, create = room
    url = create("dlq")
    await letters.send(url, [Copy("a")])
    [first] = await take_all(letters, url, 1)
    assert await letters.receive(url, limit=1, wait_s=0, visibility_timeout_s=1) == []
    assert list(await letters.hide(url, [Hiding(first.receipt_handle, 0)])) == [None]
    [second] = await take_all(letters, url, 1)
    assert (second.message_id, second.receive_count) == (first.message_id, 2)


async def test_more_than_ten_are_sent_and_deleted_entry_by_entry(
    room: tuple[DeadLetters, Create],
) -> None:
    letters, create = room
    url = create("dlq")
    assert list(await letters.send(url, [Copy(str(n)) for n in range(23)])) == [None] * 23
    taken = await take_all(letters, url, 23)
    handles = [one.receipt_handle for one in taken]
    handles[7] = "no such handle"
    answers = await letters.delete(url, handles)
    assert [n for n, failure in enumerate(answers) if failure] == [7]
    left = await letters.describe(url)
    assert left is not None
    assert left.waiting + left.in_flight == 1


async def test_bodies_of_a_mebibyte_travel_and_larger_ones_fail_alone(
    room: tuple[DeadLetters, Create],
) -> None:
    letters, create = room
    url = create("dlq")
    answers = await letters.send(url, [Copy("x" * MIB), Copy("y" * (MIB + 1)), Copy("z")])
    assert [failure is None for failure in answers] == [True, False, True]
    taken = await take_all(letters, url, 2)
    assert sorted(len(one.body) for one in taken) == [1, MIB]


async def test_fifo_group_waits_for_its_first_and_an_id_is_taken_once(
    room: tuple[DeadLetters, Create],
) -> None:
    letters, create = room
    url = create("dlq.fifo")
    for body in ("1", "2"):
        await letters.send(url, [Copy(body, group_id="g", deduplication_id=body)])
    await letters.send(url, [Copy("1", group_id="g", deduplication_id="1")])
    [first] = await letters.receive(url, limit=1, wait_s=2, visibility_timeout_s=60)
    assert first.body == "1"
    assert await letters.receive(url, limit=1, wait_s=0, visibility_timeout_s=60) == []
    await letters.delete(url, [first.receipt_handle])
    [second] = await take_all(letters, url, 1)
    assert second.body == "2"
    await letters.delete(url, [second.receipt_handle])
    assert await letters.receive(url, limit=1, wait_s=0, visibility_timeout_s=60) == []


async def test_empty_calls_are_answered_empty(room: tuple[DeadLetters, Create]) -> None:
    letters, create = room
    url = create("dlq")
    assert list(await letters.send(url, [])) == []
    assert list(await letters.hide(url, [])) == []
    assert list(await letters.delete(url, [])) == []
    assert list(await letters.sources(url)) == []


async def test_queue_that_is_gone_is_named(room: tuple[DeadLetters, Create]) -> None:
    letters, create = room
    url = create("dlq") + "-not"
    with pytest.raises(Unavailable, match="dlq-not"):
        await letters.receive(url, limit=1, wait_s=0, visibility_timeout_s=1)
