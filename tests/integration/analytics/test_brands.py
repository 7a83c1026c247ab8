"""The brand of an event that names only its store: looked up once, and kept with the event."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from analytics_world import START, World
from billfleet_db import Database
from billfleet_workers.adapters.memory_objects import MemoryObjectStore
from billfleet_workers.handlers.analytics import compare, export_events, rebuild

SEED = """
    INSERT INTO business.brands (tenant_id, brand_id, name) VALUES
      ('acme', 'north', 'North'), ('acme', 'south', 'South'), ('other', 'west', 'West');
    INSERT INTO business.stores (tenant_id, store_id, brand_id, name) VALUES
      ('acme', 's-1', 'north', '1'), ('acme', 's-2', 'south', '2'), ('other', 's-1', 'west', '1')
"""


@pytest.fixture
async def shops(world: World, superuser_database: Database) -> World:
    """Two tenants, each with a store s-1 that is another brand's."""
    await world.seed("other")
    async with superuser_database.transaction() as connection:
        for statement in SEED.split(";"):
            await connection.execute(text(statement))
    return world


async def brands(world: World, tenant: str | None = None) -> dict[str, int]:
    """How many events were counted under each brand."""
    counted: dict[str, int] = {}
    for bucket in await world.buckets(tenant):
        counted[bucket.key.brand_id] = counted.get(bucket.key.brand_id, 0) + bucket.events
    return counted


async def move(superuser: Database, store: str, brand: str) -> None:
    async with superuser.transaction() as connection:
        await connection.execute(
            text("""UPDATE business.stores SET brand_id = :brand
                    WHERE tenant_id = 'acme' AND store_id = :store"""),
            {"brand": brand, "store": store},
        )


async def test_an_event_that_names_only_its_store_is_counted_under_the_brand_of_it(
    shops: World,
) -> None:
    """Of the tenant's own store, also when another tenant has one of the same name."""
    events = [shops.event(store_id=store) for store in ("s-1", "s-2", "s-1", None)]
    assert await shops.send(*events) == ["counted"] * 4
    await shops.send(shops.event(store_id="s-1"), tenant="other")
    assert await brands(shops) == {"north": 2, "south": 1, "": 1}
    assert await brands(shops, "other") == {"west": 1}


async def test_a_brand_that_an_event_names_stands_also_where_its_store_is_another_ones(
    shops: World,
) -> None:
    await shops.send(shops.event(store_id="s-1", brand_id="south"), shops.event(brand_id="north"))
    assert await brands(shops) == {"south": 1, "north": 1}


async def test_an_event_of_an_unknown_store_is_counted_under_no_brand(
    shops: World, superuser_database: Database
) -> None:
    """R71: and stays there when the store is opened later, however often it comes again."""
    event = shops.event(store_id="s-9")
    assert await shops.send(event) == ["counted"]
    async with superuser_database.transaction() as connection:
        await connection.execute(
            text("INSERT INTO business.stores VALUES ('acme', 's-9', 'north', 'Nine')")
        )
    assert await shops.send(event, shops.event(store_id="s-9")) == ["duplicate", "counted"]
    assert await brands(shops) == {"": 1, "north": 1}


async def test_a_store_that_moves_to_another_brand_takes_no_counted_event_along(
    shops: World, superuser_database: Database
) -> None:
    """R71, R74, R76: redelivery, an old report, a recount and a rebuild all say what was said."""
    objects = MemoryObjectStore(shops.clock)
    exported, waiting = shops.event(store_id="s-1"), shops.event(store_id="s-1")
    await shops.send(exported)
    await export_events(shops.database, objects, shops.clock, shops.metrics)
    await shops.send(waiting)
    as_of = START + timedelta(minutes=10)
    shops.clock.set(as_of)
    await shops.close(as_of)
    old = await shops.series(START.date(), START.date(), as_of)

    await move(superuser_database, "s-1", "south")
    assert await shops.send(exported, waiting) == ["duplicate"] * 2
    late = shops.event(START, store_id="s-1")
    assert await shops.send(late) == ["counted"]

    assert await brands(shops) == {"north": 2, "south": 1}
    assert await shops.series(START.date(), START.date(), as_of) == old
    assert await shops.recount() == await shops.buckets()
    assert (await compare(shops.database, objects, "acme")).is_equal
    before = await shops.buckets()
    await rebuild(shops.database, objects, "acme")
    assert await shops.buckets() == before
