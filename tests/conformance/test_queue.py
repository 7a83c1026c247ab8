"""The exam of the queue port: in memory and on SQS."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.sqs import SqsQueue
from billfleet_workers.runtime.errors import Misconfigured, Unavailable
from billfleet_workers.runtime.ports.queue import Burial, Hiding, Queue, Received
from port_benches import MAX_RECEIVE_COUNT, QueueBench

MIB = 1024 * 1024


async def take(
    bench: QueueBench, *, limit: int = 10, wait_s: float = 0, hidden_s: int = 60
) -> list[Received]:
    received = await bench.queue.receive(limit=limit, wait_s=wait_s, visibility_timeout_s=hidden_s)
    return list(received)


async def take_all(bench: QueueBench, count: int) -> list[Received]:
    received: list[Received] = []
    while len(received) < count:
        received += await take(bench, wait_s=2)
    return received


async def test_message_is_received_with_what_was_sent(queue_bench: QueueBench) -> None:
    await queue_bench.send("a body", group_id="acme", origin="rebill")
    [one] = await take(queue_bench)
    assert (one.body, one.group_id, one.receive_count) == ("a body", "acme", 1)
    assert one.attributes == {"origin": "rebill"}
    assert one.sent_at is not None
    assert abs(datetime.now(UTC) - one.sent_at) < timedelta(minutes=1)
    assert queue_bench.queue.name == "rebill"


async def test_empty_queue_answers_empty(queue_bench: QueueBench) -> None:
    assert await take(queue_bench) == []


async def test_no_more_than_the_limit_is_received_and_never_more_than_ten(
    queue_bench: QueueBench,
) -> None:
    await queue_bench.send(*(f"body {n}" for n in range(14)))
    assert len(await take(queue_bench, limit=3)) == 3
    assert len(await take(queue_bench, limit=50)) == 10
    assert len(await take(queue_bench, limit=50)) == 1


async def test_long_poll_ends_when_a_message_comes(queue_bench: QueueBench) -> None:
    async with asyncio.timeout(10):
        polling = asyncio.create_task(take(queue_bench, wait_s=20))
        await asyncio.sleep(0)
        await queue_bench.send("late")
        assert [one.body for one in await polling] == ["late"]


async def test_received_message_is_hidden_and_comes_back_counted(queue_bench: QueueBench) -> None:
    await queue_bench.send("body")
    [first] = await take(queue_bench, hidden_s=1)
    assert await take(queue_bench) == []
    [second] = await take(queue_bench, wait_s=5)
    assert (second.message_id, second.receive_count) == (first.message_id, 2)
    assert second.receipt_handle != first.receipt_handle


async def test_hidden_for_no_time_it_is_visible_at_once(queue_bench: QueueBench) -> None:
    await queue_bench.send("body")
    [first] = await take(queue_bench)
    assert await queue_bench.queue.hide([Hiding(first.receipt_handle, 0)]) == [None]
    [second] = await take(queue_bench)
    assert second.receive_count == 2


async def test_hiding_counts_from_now(queue_bench: QueueBench) -> None:
    await queue_bench.send("body")
    [first] = await take(queue_bench, hidden_s=1)
    assert await queue_bench.queue.hide([Hiding(first.receipt_handle, 60)]) == [None]
    assert await take(queue_bench, wait_s=2) == []


async def test_hiding_for_longer_than_sqs_allows_is_no_failure(queue_bench: QueueBench) -> None:
    await queue_bench.send("body")
    [first] = await take(queue_bench)
    assert await queue_bench.queue.hide([Hiding(first.receipt_handle, 10**6)]) == [None]


async def test_deleted_messages_are_gone_however_many(queue_bench: QueueBench) -> None:
    await queue_bench.send(*(f"body {n}" for n in range(23)))
    received = await take_all(queue_bench, 23)
    answers = await queue_bench.queue.delete([one.receipt_handle for one in received])
    assert list(answers) == [None] * 23
    assert await queue_bench.depth() == 0


async def test_entry_that_fails_fails_alone_and_in_its_place(queue_bench: QueueBench) -> None:
    await queue_bench.send(*(f"body {n}" for n in range(12)))
    received = await take_all(queue_bench, 12)
    handles = [one.receipt_handle for one in received]
    handles[5] = "no such handle"
    hidden = await queue_bench.queue.hide([Hiding(handle, 60) for handle in handles])
    assert [n for n, failure in enumerate(hidden) if failure] == [5]
    deleted = await queue_bench.queue.delete(handles)
    assert [n for n, failure in enumerate(deleted) if failure] == [5]
    failure = deleted[5]
    assert failure is not None
    assert failure.code
    assert failure.reason
    assert not failure.retriable
    assert await queue_bench.depth() == 1


async def test_handle_of_an_earlier_receive_settles_nothing(queue_bench: QueueBench) -> None:
    await queue_bench.send("body")
    [first] = await take(queue_bench, hidden_s=0)
    [second] = await take(queue_bench)
    [hidden] = await queue_bench.queue.hide([Hiding(first.receipt_handle, 0)])
    assert hidden is not None
    await queue_bench.queue.delete([first.receipt_handle])
    assert await queue_bench.depth() == 1
    assert await queue_bench.queue.delete([second.receipt_handle]) == [None]
    assert await queue_bench.depth() == 0


async def test_buried_message_keeps_its_bytes_its_group_and_its_reason(
    queue_bench: QueueBench,
) -> None:
    body = ' {"a" : "é \\u00e9 \U0001f9fe",\r\n\t"b":1} \n'
    await queue_bench.send(body, group_id="acme")
    [one] = await take(queue_bench)
    reason = {"reason": "unknown type", "error.class": "UnknownType"}
    burial = Burial(one.message_id, one.body, reason, one.group_id)
    assert await queue_bench.queue.bury([burial]) == [None]
    [dead] = await queue_bench.dead()
    assert dead.body == body
    assert (dead.group_id, dict(dead.attributes)) == ("acme", reason)
    assert await queue_bench.depth() == 1


async def test_reason_that_sqs_would_not_take_never_fails_the_burial(
    queue_bench: QueueBench,
) -> None:
    attributes = {
        "reason": "\x00null \x0b \ud800 \uffff " + "long é" * 5_000,
        "AWS.secret": "reserved",
        "a name / with ..everything..": "kept",
        "": "nameless",
        "empty": "",
        **{f"extra{n}": "x" for n in range(12)},
    }
    assert await queue_bench.queue.bury([Burial("id", "{}", attributes)]) == [None]
    [dead] = await queue_bench.dead()
    assert dead.body == "{}"
    assert len(dead.attributes) == 10
    assert dead.attributes["reason"].startswith("\ufffdnull \ufffd \ufffd \ufffd long")
    assert "kept" in dead.attributes.values()
    assert "reserved" not in dead.attributes.values()


async def test_bodies_too_large_for_one_call_are_all_buried(queue_bench: QueueBench) -> None:
    burials = [Burial(f"id{n}", str(n) * 300_000, {"reason": "x" * 500}) for n in range(10)]
    assert list(await queue_bench.queue.bury(burials)) == [None] * 10
    dead = await queue_bench.dead()
    assert sorted(one.body for one in dead) == [burial.body for burial in burials]


async def test_largest_body_is_buried_whole_and_without_a_reason(queue_bench: QueueBench) -> None:
    """SQS counts attributes into the same 1 MiB: the body comes before the reason."""
    body = "x" * MIB
    assert await queue_bench.queue.bury([Burial("id", body, {"reason": "poison"})]) == [None]
    [dead] = await queue_bench.dead()
    assert dead.body == body
    assert dead.attributes == {}


async def test_message_received_too_often_goes_to_the_dead_letter_queue(
    queue_bench: QueueBench,
) -> None:
    await queue_bench.send("body")
    for count in range(1, MAX_RECEIVE_COUNT + 1):
        [one] = await take(queue_bench, hidden_s=0)
        assert one.receive_count == count
    assert await take(queue_bench) == []
    assert [dead.body for dead in await queue_bench.dead()] == ["body"]
    assert await queue_bench.depth() == 0


async def test_empty_calls_are_answered_empty(queue_bench: QueueBench) -> None:
    assert list(await queue_bench.queue.delete([])) == []
    assert list(await queue_bench.queue.hide([])) == []
    assert list(await queue_bench.queue.bury([])) == []


async def test_queue_that_is_away_is_unavailable_and_says_so_quickly(away_queue: Queue) -> None:
    async with asyncio.timeout(10):
        with pytest.raises(Unavailable):
            await away_queue.receive(limit=10, wait_s=20, visibility_timeout_s=60)
        with pytest.raises(Unavailable):
            await away_queue.delete(["handle"])


async def test_closing_twice_is_safe(queue_bench: QueueBench) -> None:
    await queue_bench.queue.close()
    await queue_bench.queue.close()


async def test_queue_that_does_not_exist_is_misconfigured_and_named(
    aws_clients: AwsClients,
) -> None:
    queue = await SqsQueue.open(aws_clients, stack="no-such-stack", name="rebill")
    with pytest.raises(Misconfigured, match=r"no-such-stack-rebill.*BILLFLEET_STACK"):
        await queue.check()
    await queue.close()


async def test_missing_dead_letter_queue_is_found_at_the_check(
    aws_clients: AwsClients, create_queue: object, stack_name: str
) -> None:
    assert callable(create_queue)
    create_queue("rebill")
    queue = await SqsQueue.open(aws_clients, stack=stack_name, name="rebill")
    with pytest.raises(Misconfigured, match="rebill-dlq"):
        await queue.check()
    create_queue("rebill-dlq")
    await queue.check()
    await queue.close()


async def test_recycled_connections_leave_the_queue_usable(queue_bench: QueueBench) -> None:
    await queue_bench.send("before")
    [one] = await take_all(queue_bench, 1)
    await queue_bench.queue.recycle()
    assert await queue_bench.queue.delete([one.receipt_handle]) == [None]
    await queue_bench.send("after")
    assert [message.body for message in await take_all(queue_bench, 1)] == ["after"]
