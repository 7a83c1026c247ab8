"""Points that end soon are announced, once for each warning of their programme."""

import asyncio
from datetime import UTC, date, datetime

from sqlalchemy import text

from billfleet_contracts import Expiry, PointsExpiring, decode
from billfleet_db import loyalty
from billfleet_workers.handlers.loyalty_points import WarningReport, sweep_warnings
from loyalty_world import DAY, PLAIN, World

LIVING_90_DAYS = PLAIN.model_copy(update={"expiry": Expiry(days=90)})


async def sweep(world: World, *, dry_run: bool = False) -> WarningReport:
    return await sweep_warnings(world.database, world.clock, dry_run=dry_run, page_max=2)


async def told(world: World) -> list[PointsExpiring]:
    async with world.database.transaction() as connection:
        bodies = await connection.scalars(text("SELECT body FROM fleet.outbox ORDER BY outbox_id"))
        events = [decode(body).data for body in bodies]
    return [event for event in events if isinstance(event, PointsExpiring)]


async def warn_on(world: World, *days: int) -> None:
    async with world.database.transaction() as connection:
        await loyalty.see_tenant(connection, "acme")
        await loyalty.programmes.set_warnings(connection, "acme", "club", days)


async def decide(world: World, *, is_given: bool) -> None:
    await world.execute(
        f"INSERT INTO customer.consents VALUES ('acme', 'c1', 'expiry_warnings', {is_given}, now())"
    )


async def test_a_card_is_told_once_what_ends_when_in_the_tenants_zone(world: World) -> None:
    await world.seed(LIVING_90_DAYS, time_zone="America/Los_Angeles")
    await world.buy(30)
    await world.buy(12)
    world.later(59 * DAY)
    assert await sweep(world) == WarningReport()
    world.later(3 * DAY)
    assert await sweep(world) == WarningReport(warnings=1, points=42)
    assert await sweep(world) == WarningReport()
    [warning] = await told(world)
    assert warning == PointsExpiring(
        card_id="card",
        customer_id="c1",
        programme_id="club",
        points=42,
        expires_on=date(2026, 5, 30),
        expires_at=datetime(2026, 5, 31, 7, tzinfo=UTC),
        warn_days=30,
    )


async def test_each_window_warns_once_and_a_late_sweep_only_in_the_narrowest(world: World) -> None:
    await world.seed(LIVING_90_DAYS, "early", "late")
    await warn_on(world, 30, 7)
    await world.buy(10, card="early")
    await world.buy(10, card="late", at=world.clock.now() - 84 * DAY)
    for days in (0, 62, 24, 1):
        world.later(days * DAY)
        await sweep(world)
    windows = [(one.card_id, one.warn_days) for one in await told(world)]
    assert windows == [("late", 7), ("early", 30), ("early", 7)]


async def test_what_was_spent_or_has_ended_is_not_announced(world: World) -> None:
    await world.seed(LIVING_90_DAYS)
    await world.buy(100)
    await world.redeem("mug")
    world.later(80 * DAY)
    assert (await sweep(world)).warnings == 0
    await world.buy(10)
    world.later(92 * DAY)
    assert (await sweep(world)).warnings == 0


async def test_customers_have_the_last_word(world: World) -> None:
    await world.seed(LIVING_90_DAYS)
    await world.buy(10)
    world.later(80 * DAY)
    await decide(world, is_given=True)
    await decide(world, is_given=False)
    assert (await sweep(world)).warnings == 0
    await decide(world, is_given=True)
    assert (await sweep(world)).warnings == 1


async def test_a_programme_without_warnings_warns_nobody(world: World) -> None:
    await world.seed(LIVING_90_DAYS)
    await warn_on(world)
    await world.buy(10)
    world.later(80 * DAY)
    assert (await sweep(world)).warnings == 0


async def test_sweeps_at_the_same_time_announce_once(world: World) -> None:
    await world.seed(LIVING_90_DAYS, *(f"card-{number}" for number in range(20)))
    for number in range(20):
        await world.buy(10, card=f"card-{number}")
    world.later(80 * DAY)
    reports = await asyncio.gather(*(sweep(world) for _ in range(4)))
    assert sum(report.warnings for report in reports) == 20
    assert len(await told(world)) == 20


async def test_a_dry_run_counts_and_announces_nothing(world: World) -> None:
    await world.seed(LIVING_90_DAYS, *(f"card-{number}" for number in range(5)))
    for number in range(5):
        await world.buy(10, card=f"card-{number}")
    world.later(80 * DAY)
    assert await sweep(world, dry_run=True) == WarningReport(5, 50, is_dry_run=True)
    assert await told(world) == []
    assert (await sweep(world)).warnings == 5
    assert len(await told(world)) == 5
