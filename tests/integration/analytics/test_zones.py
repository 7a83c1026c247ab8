"""Tenants that move to another time zone: counted by the new clock from then on, and not before."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text

from analytics_world import START, World
from billfleet_contracts import ReportRequested
from billfleet_db import Database, analytics
from billfleet_workers.adapters.memory_objects import MemoryObjectStore
from billfleet_workers.handlers.analytics import compare, export_events, rebuild
from billfleet_workers.handlers.reports import ReportMaker
from billing_books import Books

HOUR = timedelta(hours=1)
EVENING = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
"""Half past midnight in Berlin, which is the next day; early afternoon in Honolulu."""


@pytest.fixture
async def berlin(world: World) -> World:
    world.clock.set(EVENING)
    return world


async def move(world: World, superuser: Database, zone: str) -> None:
    """The tenant says that it lives elsewhere, an hour later."""
    world.clock.set(world.clock.now() + HOUR)
    async with superuser.transaction() as connection:
        await connection.execute(
            text("UPDATE business.tenants SET time_zone = :zone WHERE tenant_id = 'acme'"),
            {"zone": zone},
        )


async def days(world: World) -> list[tuple[date, int]]:
    return [(bucket.local_day, bucket.events) for bucket in await world.buckets()]


async def zone_at(world: World, at: datetime | None) -> str:
    async with world.database.transaction() as connection:
        await analytics.see_tenant(connection, "acme")
        return (await analytics.books.counting_of(connection, ["acme"], at=at))["acme"].time_zone


async def test_events_are_counted_by_the_new_clock_from_the_first_one_after_the_move(
    berlin: World, superuser_database: Database
) -> None:
    """R75."""
    await berlin.send(berlin.event(EVENING))
    await move(berlin, superuser_database, "Pacific/Honolulu")
    assert await zone_at(berlin, None) == "Europe/Berlin"
    assert await berlin.send(berlin.event(EVENING), berlin.event(EVENING)) == ["counted"] * 2
    assert sorted(await days(berlin)) == [(date(2026, 3, 1), 2), (date(2026, 3, 2), 1)]
    assert await zone_at(berlin, None) == "Pacific/Honolulu"
    assert await zone_at(berlin, berlin.clock.now() - timedelta(microseconds=1)) == "Europe/Berlin"
    await move(berlin, superuser_database, "Europe/Berlin")
    await berlin.send(berlin.event(EVENING))
    assert sorted(await days(berlin)) == [
        (date(2026, 3, 1), 2),
        (date(2026, 3, 2), 1),
        (date(2026, 3, 2), 1),
    ]


async def test_a_move_changes_nothing_that_was_counted_and_a_recount_says_the_same(
    berlin: World, superuser_database: Database
) -> None:
    """R71, R74, R76: rows, an old series, redelivery, a comparison with raw files, a rebuild."""
    objects = MemoryObjectStore(berlin.clock)
    exported, waiting = berlin.event(EVENING), berlin.event(START)
    await berlin.send(exported)
    await export_events(berlin.database, objects, berlin.clock, berlin.metrics)
    await berlin.send(waiting)
    as_of = EVENING + timedelta(minutes=1)
    berlin.clock.set(as_of)
    await berlin.close(as_of)
    first, last = date(2026, 2, 27), date(2026, 3, 4)
    old, rows = await berlin.series(first, last, as_of), await berlin.buckets()
    await move(berlin, superuser_database, "Pacific/Honolulu")
    assert await berlin.send(exported, waiting) == ["duplicate"] * 2
    await berlin.send(berlin.event(EVENING), berlin.event(START))
    assert await berlin.series(first, last, as_of) == old
    assert set(rows) < set(await berlin.buckets())
    assert await berlin.recount() == await berlin.buckets()
    assert (await compare(berlin.database, objects, "acme")).is_equal
    before = await berlin.buckets()
    await rebuild(berlin.database, objects, "acme")
    assert await berlin.buckets() == before


async def test_a_report_as_of_before_the_move_is_the_same_when_it_is_made_again(
    berlin: World, superuser_database: Database
) -> None:
    """R74: its days begin and end by the old clock, also for payments, which have no bucket."""
    books = Books(superuser_database)
    await books.charge("a-1", date(2026, 3, 1), date(2026, 3, 31), 2990, EVENING)
    await books.pay("a-1", date(2026, 3, 1), 2990, EVENING)
    await berlin.send(berlin.event(EVENING))
    berlin.clock.set(EVENING + timedelta(days=2))
    as_of = berlin.clock.now()
    asked = ReportRequested(period="day", first_day=date(2026, 3, 2), as_of=as_of)
    objects = MemoryObjectStore(berlin.clock)
    maker = ReportMaker(berlin.database, objects, berlin.clock, berlin.metrics)
    first = await maker.make("acme", asked)
    await move(berlin, superuser_database, "Pacific/Honolulu")
    await berlin.send(berlin.event(EVENING))
    again = await maker.make("acme", asked.model_copy(update={"request_no": 1}))
    assert again.is_new
    assert again.bodies["csv"] == first.bodies["csv"]
    assert b"2990" in first.bodies["csv"] or b"29.90" in first.bodies["csv"]
