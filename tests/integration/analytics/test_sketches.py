"""Sketches of buckets: stale ones are made anew, others are left alone, and reading is as of."""

import asyncio
from datetime import datetime, timedelta

from sqlalchemy import text

from analytics_world import START, World
from billfleet_db import analytics
from billfleet_workers.handlers.analytics import refresh_sketches
from billfleet_workers.handlers.analytics.activity import Activity, activities

DAY = timedelta(days=1)


async def _stored(world: World) -> dict[datetime, tuple[datetime, bytes]]:
    """When each hour's sketches were made, and the bytes."""
    async with world.database.transaction() as connection:
        await analytics.see_tenant(connection, world.tenant)
        rows = await connection.execute(
            text("SELECT hour_start, stored_hour, computed_at, customers FROM analytics.sketches")
        )
        return {row.hour_start: (row.computed_at, row.customers) for row in rows}


async def _seen(world: World, as_of: datetime) -> Activity:
    await world.close(as_of)
    await refresh_sketches(world.database, world.clock)
    async with world.database.transaction() as connection:
        await analytics.see_tenant(connection, world.tenant)
        (found,) = await activities(
            connection,
            world.tenant,
            first_day=(START - 2 * DAY).date(),
            last_day=START.date(),
            as_of=as_of,
        )
    return found


async def test_an_event_makes_only_its_own_bucket_stale(world: World) -> None:
    """R74: the sketches of every other hour stay as they were made."""
    await world.send(*(world.event(START - n * DAY, customer_id=f"c-{n}") for n in range(3)))
    assert await refresh_sketches(world.database, world.clock) == 3
    before = await _stored(world)
    world.clock.set(START + timedelta(minutes=1))
    await world.send(world.event(START - DAY, customer_id="late"))
    assert await refresh_sketches(world.database, world.clock) == 1
    assert await refresh_sketches(world.database, world.clock) == 0
    after = await _stored(world)
    assert {hour for hour in after if after[hour] != before[hour]} == {START - DAY}


async def test_customers_and_quantiles_are_those_of_then(world: World) -> None:
    """R74, R77: before, inside and after the hour that `as_of` cuts."""
    await world.send(*(world.event(customer_id=f"c-{n}", amount_minor=100) for n in range(10)))
    first = START + timedelta(minutes=10)
    world.clock.set(first)
    old = await _seen(world, first)
    assert (old.events, old.customers, old.median_minor) == (10, 10, 100)
    await world.send(
        *(world.event(START, customer_id=f"d-{n}", amount_minor=900) for n in range(30))
    )
    world.clock.set(START + 2 * DAY)
    await world.send(*(world.event(START, customer_id=f"e-{n}") for n in range(5)))
    assert await _seen(world, first) == old
    now = await _seen(world, world.clock.now() + timedelta(hours=1))
    assert (now.events, now.customers) == (45, 45)


async def test_two_that_make_sketches_at_once_make_each_once(world: World) -> None:
    await world.send(*(world.event(START - timedelta(hours=n)) for n in range(30)))
    made = await asyncio.gather(*(refresh_sketches(world.database, world.clock) for _ in range(3)))
    assert sum(made) == 30
