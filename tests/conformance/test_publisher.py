"""The exam of the publisher port: in memory and on SQS and SNS."""

import asyncio

import pytest

from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.aws_publisher import AwsPublisher
from billfleet_workers.runtime.errors import Misconfigured, Unavailable
from billfleet_workers.runtime.ports.publisher import Letter, Publisher
from port_benches import PublisherBench


def to_queue(n: int = 0, body: str | None = None, name: str = "rebill") -> Letter:
    body = body or f'{{"to":"queue","n":{n}}}'
    return Letter(f"q{n}", "billfleet.x.v1", "acme", body, "queue", name, group_id="acme")


def to_topic(n: int = 0, body: str | None = None) -> Letter:
    body = body or f'{{"to":"topic","n":{n}}}'
    return Letter(f"t{n}", "billfleet.y.v1", "acme", body, "topic", "events")


async def test_letter_to_a_queue_arrives_with_its_group(publisher_bench: PublisherBench) -> None:
    letter = to_queue(body=' {"é":1}\n')
    assert list(await publisher_bench.publisher.publish([letter])) == [None]
    [one] = await publisher_bench.arrived("rebill")
    assert (one.body, one.group_id) == (letter.body, "acme")


async def test_letter_to_a_topic_carries_type_and_tenant_for_filters(
    publisher_bench: PublisherBench,
) -> None:
    letter = to_topic()
    assert list(await publisher_bench.publisher.publish([letter])) == [None]
    [one] = await publisher_bench.arrived("events")
    assert one.body == letter.body
    assert one.attributes == {"type": "billfleet.y.v1", "tenant": "acme"}


async def test_letters_of_both_routes_leave_in_one_call(publisher_bench: PublisherBench) -> None:
    letters = [to_queue(n) if n % 2 else to_topic(n) for n in range(46)]
    assert list(await publisher_bench.publisher.publish(letters)) == [None] * 46
    for name in ("rebill", "events"):
        arrived = [one.body for one in await publisher_bench.arrived(name)]
        assert sorted(arrived) == sorted(one.body for one in letters if one.route_name == name)


async def test_letters_too_large_for_one_call_all_leave(publisher_bench: PublisherBench) -> None:
    letters = [to_queue(n, str(n) * 400_000) for n in range(5)]
    letters += [to_topic(n, str(n) * 100_000) for n in range(5)]
    assert list(await publisher_bench.publisher.publish(letters)) == [None] * 10
    assert len(await publisher_bench.arrived("rebill")) == 5
    assert len(await publisher_bench.arrived("events")) == 5


async def test_letter_that_no_service_takes_fails_alone(publisher_bench: PublisherBench) -> None:
    letters = [to_topic(0), to_topic(1, "x" * 262_144), to_queue(2), to_queue(3, "x" * 1_048_577)]
    answers = await publisher_bench.publisher.publish(letters)
    assert [n for n, failure in enumerate(answers) if failure] == [1, 3]
    assert not any(failure.retriable for failure in answers if failure)
    assert len(await publisher_bench.arrived("rebill")) == 1
    assert len(await publisher_bench.arrived("events")) == 1


async def test_nothing_to_publish_is_answered_empty(publisher_bench: PublisherBench) -> None:
    assert list(await publisher_bench.publisher.publish([])) == []


async def test_publisher_that_is_away_is_unavailable_and_says_so_quickly(
    away_publisher: Publisher,
) -> None:
    async with asyncio.timeout(10):
        with pytest.raises(Unavailable):
            await away_publisher.publish([to_queue(), to_topic()])


async def test_closing_twice_is_safe(publisher_bench: PublisherBench) -> None:
    await publisher_bench.publisher.close()
    await publisher_bench.publisher.close()


async def test_missing_queue_fails_its_own_letters_and_names_itself(
    aws_clients: AwsClients, create_queue: object, stack_name: str
) -> None:
    assert callable(create_queue)
    create_queue("rebill")
    publisher = await AwsPublisher.open(aws_clients, stack=stack_name)
    answers = await publisher.publish([to_queue(0, name="missing"), to_queue(1), to_topic(2)])
    assert answers[1] is None
    for failure, name in ((answers[0], "missing"), (answers[2], "events")):
        assert failure is not None
        assert failure.code == "Misconfigured"
        assert name in failure.reason
        assert failure.retriable
    with pytest.raises(Misconfigured, match="missing"):
        await publisher.publish([to_queue(0, name="missing")])
    await publisher.close()
