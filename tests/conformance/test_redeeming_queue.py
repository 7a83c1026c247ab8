"""Bodies left in S3 are fetched on receive, over the object store in memory and S3 itself."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

import pytest

from billfleet_contracts import Pointer
from billfleet_workers.adapters.memory_objects import MemoryObjectStore
from billfleet_workers.adapters.memory_queue import MemoryQueue
from billfleet_workers.adapters.redeeming_queue import BODY_BYTES_MAX, RedeemingQueue
from billfleet_workers.runtime.clock import ManualClock, SystemClock
from billfleet_workers.runtime.ports.objects import ObjectStore
from billfleet_workers.runtime.ports.queue import Received

KEY = "claim-checks/e-1"
POINTER = Pointer("own", KEY).encode()


def around(queue: MemoryQueue, stores: Mapping[str, ObjectStore]) -> RedeemingQueue:
    async def opened(store: ObjectStore) -> ObjectStore:
        return store

    return RedeemingQueue(
        queue,
        {
            bucket: ("claim-checks/" if bucket == "own" else "", partial(opened, store))
            for bucket, store in stores.items()
        },
    )


async def receive(queue: RedeemingQueue) -> list[Received]:
    return list(await queue.receive(limit=10, wait_s=0, visibility_timeout_s=30))


async def test_a_pointer_becomes_the_body_and_stays_beside_it(objects: ObjectStore) -> None:
    await objects.put(KEY, '{"a":"ü"}'.encode(), content_type="application/json")
    queue = MemoryQueue("rebill", SystemClock())
    queue.send("{}")
    queue.send(POINTER)
    plain, redeemed = await receive(around(queue, {"own": objects}))
    assert (plain.body, plain.pointer) == ("{}", None)
    assert (redeemed.body, redeemed.pointer) == ('{"a":"ü"}', POINTER)


async def test_what_cannot_be_redeemed_is_delivered_as_it_is(objects: ObjectStore) -> None:
    await objects.put("bills/acme/secret", b"{}", content_type="application/json")
    await objects.put("claim-checks/latin", b"\xff", content_type="application/json")
    pointers = [
        Pointer("own", "claim-checks/gone").encode(),
        Pointer("own", "bills/acme/secret").encode(),
        Pointer("another", KEY).encode(),
        Pointer("own", "claim-checks/latin").encode(),
    ]
    queue = MemoryQueue("rebill", SystemClock())
    for pointer in pointers:
        queue.send(pointer)
    received = await receive(around(queue, {"own": objects}))
    assert [(one.body, one.pointer) for one in received] == [(one, None) for one in pointers]


async def test_another_bucket_is_read_from_when_it_was_named() -> None:
    store = MemoryObjectStore(SystemClock())
    await store.put("any-key", b"{}", content_type="application/json")
    queue = MemoryQueue("rebill", SystemClock())
    queue.send(Pointer("shop-bodies", "any-key").encode())
    (received,) = await receive(around(queue, {"shop-bodies": store}))
    assert received.body == "{}"


async def test_a_body_beyond_all_measure_is_not_read() -> None:
    store = MemoryObjectStore(SystemClock())
    await store.put(KEY, b" " * (BODY_BYTES_MAX + 1), content_type="application/json")
    queue = MemoryQueue("rebill", SystemClock())
    queue.send(POINTER)
    (received,) = await receive(around(queue, {"own": store}))
    assert received.body == POINTER


async def test_while_s3_is_away_its_messages_go_back_and_others_are_delivered() -> None:
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    store = MemoryObjectStore(clock)
    await store.put(KEY, b"{}", content_type="application/json")
    queue = MemoryQueue("rebill", clock)
    queue.send(POINTER, group_id="acme")
    queue.send('{"plain":1}', group_id="acme")
    store.faults.take_away()
    redeeming = around(queue, {"own": store})
    assert [one.body for one in await receive(redeeming)] == ['{"plain":1}']
    store.faults.bring_back()
    assert await receive(redeeming) == []
    await clock.advance(31)
    assert "{}" in [one.body for one in await receive(redeeming)]
    assert queue.dead_letters == []


async def test_an_outage_of_s3_for_hours_uses_up_no_messages_receives() -> None:
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    store = MemoryObjectStore(clock)
    queue = MemoryQueue("rebill", clock)
    queue.send(POINTER)
    store.faults.take_away()
    redeeming = around(queue, {"own": store})
    for _ in range(3 * 3600 // 30):
        assert await receive(redeeming) == []
        await clock.advance(30)
    assert queue.dead_letters == []
    store.faults.bring_back()
    await store.put(KEY, b"{}", content_type="application/json")
    await clock.advance(3600)
    (received,) = await receive(redeeming)
    assert (received.body, received.receive_count <= 10) == ("{}", True)


async def test_on_a_fifo_queue_nothing_of_its_group_passes_a_body_that_waits() -> None:
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    store = MemoryObjectStore(clock)
    queue = MemoryQueue("loyalty.fifo", clock)
    queue.send(POINTER, group_id="acme:card")
    queue.send('{"behind":1}', group_id="acme:card")
    queue.send('{"other":1}', group_id="acme:other")
    store.faults.take_away()
    received = await receive(around(queue, {"own": store}))
    assert [one.body for one in received] == ['{"other":1}']


@pytest.mark.parametrize("verb", ["delete", "hide", "bury"])
async def test_other_verbs_are_the_queues_own(verb: str) -> None:
    queue = MemoryQueue("rebill", SystemClock())
    assert list(await getattr(around(queue, {}), verb)([])) == []
