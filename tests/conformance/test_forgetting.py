"""An operator takes a done record back: only the one that was looked at."""

from datetime import timedelta

from billfleet_workers.runtime.ports.dedupe import AmendableStore, Claimed, ClaimRequest, Completion
from port_benches import DedupeBench


def store_of(bench: DedupeBench) -> AmendableStore:
    store = bench.store
    assert hasattr(store, "forget")
    return store  # type: ignore[return-value]  # both adapters have it; the bench is for workers


async def done(bench: DedupeBench, key: str = "k") -> None:
    await bench.store.claim([ClaimRequest(key, "hash", "token", 60)])
    assert await bench.store.complete([Completion(key, "token", 3600, "note")]) == [True]


async def test_done_record_is_forgotten_and_the_work_may_be_claimed_again(
    dedupe_bench: DedupeBench,
) -> None:
    await done(dedupe_bench)
    [record] = await dedupe_bench.store.read(["k"])
    assert record is not None
    assert record.completed_at is not None
    assert await store_of(dedupe_bench).forget("k", record.completed_at)
    assert await dedupe_bench.store.claim([ClaimRequest("k", "hash", "t2", 60)]) == [Claimed()]


async def test_record_of_another_moment_or_still_claimed_stays(dedupe_bench: DedupeBench) -> None:
    store, now = store_of(dedupe_bench), dedupe_bench.clock.now()
    await done(dedupe_bench)
    assert not await store.forget("k", now - timedelta(seconds=1))
    [record] = await store.read(["k"])
    assert record is not None
    await store.claim([ClaimRequest("other", "hash", "token", 60)])
    assert not await store.forget("other", now)
    assert not await store.forget("never seen", now)
    assert None not in await store.read(["k", "other"])
