"""Raw events in the object store: every event once, whoever exports and compacts, and a recount."""

import asyncio
import io
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from sqlalchemy import text

from analytics_world import START, World
from billfleet_db import Database, analytics
from billfleet_workers.adapters.memory_objects import MemoryObjectStore
from billfleet_workers.handlers.analytics import (
    compact,
    compare,
    export_events,
    rebuild,
    remove_replaced,
)
from billfleet_workers.runtime.errors import Permanent, Unavailable

DAY = timedelta(days=1)


class Store:
    """The world's object store and what runs over it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.objects = MemoryObjectStore(world.clock)

    async def export(self) -> int:
        world = self.world
        return await export_events(world.database, self.objects, world.clock, world.metrics)

    async def compact(self) -> int:
        return await compact(self.world.database, self.objects, self.world.clock)

    async def is_equal(self) -> bool:
        return (await compare(self.world.database, self.objects, self.world.tenant)).is_equal

    async def live(self) -> list[analytics.RawFile]:
        async with self.world.database.transaction() as connection:
            await analytics.see_tenant(connection, analytics.ALL_TENANTS)
            return await analytics.raw_files.live(connection)

    async def written(self, folder: Path) -> str:
        """Put the live files on disk as they lie in the store; returns what DuckDB may glob."""
        for file in await self.live():
            path = folder / file.object_key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.objects.objects[file.object_key].body)
        return str(folder / "raw/*/*/*.parquet")


@pytest.fixture
def store(world: World) -> Store:
    return Store(world)


async def test_files_are_partitioned_by_tenant_and_day_and_read_by_duckdb(
    world: World, store: Store, tmp_path: Path
) -> None:
    await world.seed("other")
    await world.send(
        world.event(START, properties={"basket": 3}),
        world.event(START - DAY, name="visit", amount_minor=None, currency=None),
    )
    await world.send(world.event(START, amount_minor=7), tenant="other")
    assert await store.export() == 3
    assert sorted(key.rpartition("/")[0] for key in store.objects.objects) == [
        "raw/tenant=acme/day=2026-02-28",
        "raw/tenant=acme/day=2026-03-01",
        "raw/tenant=other/day=2026-03-01",
    ]
    found = duckdb.execute(
        f"""SELECT tenant, CAST(day AS text), name, amount_minor, properties->>'basket'
            FROM read_parquet('{await store.written(tmp_path)}', hive_partitioning = true)
            ORDER BY ALL"""
    ).fetchall()
    assert found == [
        ("acme", "2026-02-28", "visit", None, None),
        ("acme", "2026-03-01", "purchase", 1000, "3"),
        ("other", "2026-03-01", "purchase", 7, None),
    ]


async def test_exporting_again_or_twice_at_once_writes_each_event_once(
    world: World, store: Store
) -> None:
    await world.send(*(world.event() for _ in range(20)))
    assert sum(await asyncio.gather(store.export(), store.export())) == 20
    assert await store.export() == 0
    await world.send(world.event())
    assert await store.export() == 1
    assert sum(file.rows for file in await store.live()) == 21


async def test_exporter_that_dies_before_committing_is_followed_by_one_that_leaves_no_orphan(
    world: World, store: Store
) -> None:
    await world.send(world.event(), world.event(START - DAY))
    store.objects.faults.lose_answers("put")
    with pytest.raises(Unavailable):
        await store.export()
    await world.send(world.event())
    assert await store.export() == 3
    assert set(store.objects.objects) == {file.object_key for file in await store.live()}
    assert await store.is_equal()


async def test_event_of_a_transaction_that_still_runs_is_exported_after_it_has_ended(
    world: World, store: Store
) -> None:
    async with world.database.transaction() as connection:
        await connection.execute(text("SELECT pg_current_xact_id()"))
        await world.send(world.event())
        assert await store.export() == 0
    assert await store.export() == 1


async def test_no_event_is_passed_over_when_transactions_get_a_digit_more(
    world: World, store: Store, superuser_database: Database
) -> None:
    """Transactions 9, 10 and 100 come in this order, however they are spelt."""
    await world.send(world.event())
    async with superuser_database.transaction() as connection:
        for xact in (9, 10, 100):
            await connection.execute(
                text("""INSERT INTO analytics.events (tenant_id, source, event_id, xact,
                          payload_hash, name, occurred_at, stored_at, hour_start, local_day)
                        VALUES ('acme', 'till', :event_id, CAST(CAST(:xact AS text) AS xid8), 'h',
                          'visit', :at, :at, :at, :day)"""),
                {"event_id": f"x-{xact}", "xact": str(xact), "at": START, "day": START.date()},
            )
    exported = await export_events(
        world.database, store.objects, world.clock, world.metrics, page_events=2
    )
    assert exported == 4
    assert sum(file.rows for file in await store.live()) == 4


async def test_small_files_of_a_day_become_one_and_the_old_ones_go_when_nobody_reads_them(
    world: World, store: Store, tmp_path: Path
) -> None:
    for _ in range(5):
        await world.send(world.event(), world.event(START - DAY))
        await store.export()
    assert await store.compact() == 10
    assert await store.compact() == 0
    assert [file.rows for file in await store.live()] == [5, 5]
    assert len(store.objects.objects) == 12
    assert await remove_replaced(world.database, store.objects, world.clock) == 0
    world.clock.set(START + timedelta(hours=2))
    assert await remove_replaced(world.database, store.objects, world.clock) == 10
    assert set(store.objects.objects) == {file.object_key for file in await store.live()}
    assert await store.is_equal()
    glob = await store.written(tmp_path)
    assert duckdb.execute(f"SELECT count(*) FROM read_parquet('{glob}')").fetchall() == [(10,)]


async def test_of_two_compactors_at_once_one_wins_and_nothing_is_lost_or_doubled(
    world: World, store: Store
) -> None:
    for _ in range(6):
        await world.send(world.event())
        await store.export()
    results = await asyncio.gather(*(store.compact() for _ in range(3)))
    assert sorted(results) == [0, 0, 6]
    assert [file.rows for file in await store.live()] == [6]
    assert (await store.live())[0].object_key in store.objects.objects
    assert await store.is_equal()


async def test_compactor_that_saw_other_files_than_the_winner_removes_what_it_wrote(
    world: World, store: Store
) -> None:
    for _ in range(4):
        await world.send(world.event())
        await store.export()
    (live, winner) = (await store.live(), Store(world))
    winner.objects = store.objects
    reading = asyncio.Event()
    original = store.objects.get

    class Slow(MemoryObjectStore):
        async def get(self, key: str) -> bytes:
            if not reading.is_set():
                reading.set()
                await world.send(world.event())
                await winner.export()
                assert await winner.compact() == 5
            return await original(key)

    slow = Slow(world.clock)
    slow.objects = store.objects.objects
    assert await compact(world.database, slow, world.clock) == 0
    (merged,) = await store.live()
    assert merged.rows == 5
    assert set(store.objects.objects) == {file.object_key for file in (*live, merged)} | {
        key for key in store.objects.objects if "part-" in key
    }
    assert await store.is_equal()


async def test_a_recount_of_raw_files_equals_the_incremental_count_byte_for_byte(
    world: World, store: Store
) -> None:
    """R76: with late events, huge amounts, duplicates, and some not exported yet."""
    for hour in range(5):
        world.clock.set(START + timedelta(hours=hour))
        late = world.event(START - 3 * DAY, amount_minor=2**53 - 1, store_id=f"s-{hour % 2}")
        again = world.event(event_id="again", occurred_at=START, amount_minor=2**53 - 1)
        await world.send(late, again, world.event(name="visit", customer_id=None))
        if hour < 3:
            await store.export()
    comparison = await compare(world.database, store.objects, world.tenant)
    assert comparison.is_equal
    assert comparison.events == 11
    assert sum(bucket.amount_minor for bucket in await world.buckets()) == 6 * (2**53 - 1) + 5000


async def test_a_wrong_count_and_a_tampered_file_are_both_found(
    world: World, store: Store, superuser_database: Database
) -> None:
    """R76: the comparison is able to say no."""
    await world.send(world.event(), world.event(START - DAY))
    await store.export()
    async with superuser_database.transaction() as connection:
        await connection.execute(
            text("UPDATE analytics.buckets SET events = 2 WHERE local_day = :day"),
            {"day": date(2026, 3, 1)},
        )
    comparison = await compare(world.database, store.objects, world.tenant)
    assert (len(comparison.only_counted), len(comparison.only_raw)) == (1, 1)
    assert await rebuild(world.database, store.objects, world.tenant) == 2
    assert await store.is_equal()
    (file, *_) = await store.live()
    stored = store.objects.objects[file.object_key]
    changed = io.BytesIO(stored.body).getvalue()[:-1] + b"x"
    await store.objects.put(file.object_key, changed, content_type=stored.content_type)
    with pytest.raises(Permanent, match="SHA-256"):
        await compare(world.database, store.objects, world.tenant)
