"""Intake: every event once, whatever the order, and what can't be trusted kept aside."""

import asyncio
import itertools
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from analytics_world import START, World, of_any_tenant, shares
from billfleet_contracts import Event, EventTracked, PaymentSucceeded, PointsIssued
from billfleet_db import Database, analytics
from billfleet_db.analytics import Bucket
from billfleet_db.errors import DatabaseError

DAY = timedelta(days=1)


async def test_an_event_counts_once_also_in_the_same_batch_and_a_year_later(world: World) -> None:
    """R71: what makes it one is its row, not a cache that forgets."""
    event = world.event()
    assert await world.send(event, event) == ["counted", "duplicate"]
    assert await world.send(event) == ["duplicate"]
    world.clock.set(START + 366 * DAY)
    await world.set_policy(age_max_days=None)
    assert await world.send(event) == ["duplicate"]
    assert [bucket.events for bucket in await world.buckets()] == [1]


async def test_the_same_id_of_another_source_or_tenant_is_another_event(world: World) -> None:
    """R71: source and tenant are parts of the identity."""
    await world.seed("other")
    event = world.event(event_id="same")
    assert await world.send(event, event.model_copy(update={"source": "shop"})) == ["counted"] * 2
    assert await world.send(event, tenant="other") == ["counted"]


async def test_dedupe_and_count_commit_together_or_not_at_all(
    world: World, superuser_database: Database
) -> None:
    """R71: a batch that fails after storing leaves neither row nor count, and can come again."""
    async with superuser_database.transaction() as connection:
        await connection.execute(
            text("ALTER TABLE analytics.buckets ADD CONSTRAINT broken CHECK (amount_minor < 5000)")
        )
    event = world.event(amount_minor=9000)
    with pytest.raises(DatabaseError):
        await world.send(world.event(), event)
    assert await world.buckets() == await world.recount() == []
    async with superuser_database.transaction() as connection:
        await connection.execute(text("ALTER TABLE analytics.buckets DROP CONSTRAINT broken"))
    assert await world.send(event) == ["counted"]


@pytest.mark.parametrize("together", [True, False])
async def test_the_same_id_with_another_payload_is_kept_aside_with_both_versions(
    world: World, together: bool
) -> None:
    """R72: it neither overwrites nor counts."""
    event = world.event(amount_minor=1000)
    other = event.model_copy(update={"amount_minor": 7})
    if together:
        assert await world.send(event, other, event) == ["counted", "other_payload", "duplicate"]
    else:
        await world.send(event)
        assert await world.send(other) == ["other_payload"]
    assert await world.send(other) == ["other_payload"]
    (aside,) = await world.quarantine()
    assert aside.kept is not None
    assert '"amount_minor": 1000' in aside.kept
    assert '"amount_minor": 7' in aside.refused
    assert [(one.events, one.amount_minor) for one in await world.buckets()] == [(1, 1000)]


async def test_two_payloads_of_one_id_race_and_exactly_one_is_counted(world: World) -> None:
    """R72: also when two workers store at the same moment."""
    event = world.event(amount_minor=1)
    versions = [event.model_copy(update={"amount_minor": n}) for n in range(1, 7)]
    results = await asyncio.gather(*(world.send(version) for version in versions))
    assert sorted(word for (word,) in results) == ["counted", *["other_payload"] * 5]
    assert len(await world.quarantine()) == 5


_EVENTS = st.lists(
    st.tuples(
        st.integers(0, 12),  # id: small, so that many meet
        st.integers(0, 60 * 50),  # minutes ago
        st.sampled_from(["purchase", "visit"]),
        st.sampled_from(["", "north-1", "north-2"]),
        st.integers(0, 2**53 - 1),
    ),
    max_size=25,
    unique_by=lambda one: one[0],
)


def _tracked(world: World, one: tuple[int, int, str, str, int]) -> EventTracked:
    number, minutes, name, store, amount_minor = one
    return world.event(
        START - timedelta(minutes=minutes),
        event_id=f"id-{number}",
        name=name,
        store_id=store or None,
        customer_id=f"c-{number % 3}",
        amount_minor=amount_minor,
    )


async def test_any_permutation_partition_and_redelivery_gives_the_same_aggregates(
    world: World,
) -> None:
    """R73, R76: and they are what a recount from the events gives. Each try is a tenant."""
    numbers = itertools.count(1)

    async def counted(batches: list[list[EventTracked]]) -> list[Bucket]:
        tenant = f"try-{next(numbers)}"
        await world.seed(tenant, time_zone="Asia/Kathmandu")
        for batch in batches:
            await world.send(*batch, tenant=tenant)
        buckets = await world.buckets(tenant)
        assert buckets == await world.recount(tenant)
        return of_any_tenant(buckets)

    loop = asyncio.get_running_loop()

    @given(
        given_events=_EVENTS,
        order=st.randoms(use_true_random=False),
        cuts=st.lists(st.integers(0, 100), max_size=5),
        twice=st.lists(st.integers(0, 24), max_size=8),
    )
    @settings(max_examples=25, deadline=None)
    def holds(given_events: list, order, cuts: list[int], twice: list[int]) -> None:  # type: ignore[no-untyped-def,type-arg] # hypothesis fills them in
        events = [_tracked(world, one) for one in given_events]
        shuffled = events + [events[n] for n in twice if n < len(events)]
        order.shuffle(shuffled)
        pieces = [list(piece) for piece in shares(shuffled, cuts)]

        async def both() -> None:
            assert await counted([events]) == await counted(pieces)

        asyncio.run_coroutine_threadsafe(both(), loop).result()

    await asyncio.to_thread(holds)


async def test_workers_that_store_at_the_same_time_count_each_event_once(world: World) -> None:
    """R71, R73: overlapping batches in any order neither deadlock nor count twice."""
    events = [world.event(START - timedelta(hours=n % 7), store_id=f"s-{n % 3}") for n in range(60)]
    batches = [events[a:] + events[:a] for a in (0, 13, 29, 41)]
    results = await asyncio.gather(*(world.send(*batch) for batch in batches))
    words = [word for result in results for word in result]
    assert words.count("counted") == 60
    assert words.count("duplicate") == 180
    assert sum(bucket.events for bucket in await world.buckets()) == 60
    assert await world.buckets() == await world.recount()


async def test_a_late_event_adds_to_its_own_hour_and_leaves_every_other_row_as_it_was(
    world: World,
) -> None:
    """R74: the row of what was known before stays, so an old report keeps its number."""
    await world.send(world.event(START), world.event(START - DAY))
    before = await world.buckets()
    world.clock.set(START + 3 * DAY)
    await world.send(world.event(START - DAY, amount_minor=5))
    (late,) = [bucket for bucket in await world.buckets() if bucket not in before]
    assert late.key.hour_start == START - DAY
    assert late.key.stored_hour == START + 3 * DAY
    assert set(before) < set(await world.buckets())


async def test_a_report_as_of_then_gives_its_old_number_for_ever(world: World) -> None:
    """R74: to the microsecond, also where `as_of` cuts an hour."""
    day = START.date()
    await world.send(world.event())
    as_of = START + timedelta(minutes=20)
    world.clock.set(as_of)
    await world.close(as_of)
    old = await world.series(day, day, as_of)
    assert [(figure.events, figure.amount_minor) for figure in old] == [(1, 1000)]
    for later in (timedelta(0), timedelta(minutes=1), timedelta(hours=1), 40 * DAY):
        world.clock.set(as_of + later)
        await world.send(world.event(START))
        assert await world.series(day, day, as_of) == old
    (now,) = await world.series(day, day, world.clock.now() + timedelta(seconds=1))
    assert now.events == 5


async def test_a_worker_whose_clock_is_behind_stores_nothing_into_a_closed_past(
    world: World,
) -> None:
    """R74: the books are closed by the database, not by anybody's clock."""
    await world.close(START)
    old = await world.series(START.date(), START.date(), START)
    world.clock.set(START - timedelta(minutes=5))
    await world.send(world.event())
    assert await world.series(START.date(), START.date(), START) == old == []
    assert [bucket.key.stored_hour for bucket in await world.buckets()] == [START]


async def test_a_report_waits_for_the_batch_that_is_being_stored(world: World) -> None:
    """R74: what was stored before `as_of` is in the report, even if it commits after."""
    storing, may_commit = asyncio.Event(), asyncio.Event()

    async def slow_batch() -> None:
        async with world.database.transaction() as connection:
            await analytics.see_tenant(connection, "*")
            stored_at = await analytics.books.open_for_storing(connection, START)
            assert stored_at == START
            storing.set()
            await may_commit.wait()

    batch = asyncio.create_task(slow_batch())
    await storing.wait()
    closing = asyncio.create_task(world.close(START + timedelta(seconds=1)))
    done, _ = await asyncio.wait([closing], timeout=0.2)
    assert not done
    may_commit.set()
    await asyncio.gather(batch, closing)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Asia/Kathmandu", date(2026, 10, 25), 24),
    ],
)
async def test_days_are_those_of_the_tenants_clock_with_23_or_25_hours(
    world: World, zone: str, day: date, hours: int
) -> None:
    """R75: an event in every hour of three days; the middle one has as many as its clock shows."""
    tenant = World(world.database, tenant="elsewhere")
    await tenant.seed(time_zone=zone)
    tenant.clock.set(datetime(2026, 10, 28, tzinfo=UTC))
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) - DAY + timedelta(minutes=20)
    await tenant.send(*(tenant.event(start + timedelta(hours=n)) for n in range(72)))
    as_of = tenant.clock.now() + timedelta(minutes=1)
    (found,) = await tenant.series(day, day, as_of)
    assert found.events == hours
    by_hour = await tenant.series(day, day, as_of, grain="hour")
    assert [figure.events for figure in by_hour] == [1] * hours
    assert len({figure.starts for figure in by_hour}) == hours


@pytest.mark.parametrize(
    ("policy", "given_event", "reason"),
    [
        ({}, {"occurred_at": START + timedelta(hours=2)}, "from_the_future"),
        ({}, {"occurred_at": START - 800 * DAY}, "too_old"),
        ({"names": ["visit"]}, {}, "unknown_name"),
        ({}, {"properties": {f"p{n}": "x" * 4000 for n in range(5)}}, "oversized_properties"),
    ],
)
async def test_what_can_not_be_trusted_is_kept_aside_with_its_reason(
    world: World, policy: dict[str, object], given_event: dict[str, object], reason: str
) -> None:
    if policy:
        await world.set_policy(**policy)
    assert await world.send(world.event(**given_event)) == [reason]  # type: ignore[arg-type] # as the test says
    assert [aside.reason for aside in await world.quarantine()] == [reason]
    assert await world.buckets() == []


async def test_a_tenant_may_let_its_clocks_run_ahead_and_its_past_be_long(world: World) -> None:
    await world.set_policy(future_max_s=86_400, age_max_days=None)
    ancient = datetime(1997, 1, 1, tzinfo=UTC)
    assert await world.send(world.event(START + timedelta(hours=2)), world.event(ancient)) == [
        "counted",
        "counted",
    ]


async def test_one_tenant_that_can_not_be_counted_holds_up_no_other(
    world: World, superuser_database: Database
) -> None:
    """A poisoned partition: its messages alone go to the dead-letter queue, with the reason."""
    await world.seed("sick")
    await world.send(world.event(), tenant="sick")
    async with superuser_database.transaction() as connection:
        await connection.execute(
            text("UPDATE analytics.tenants SET policy = '{\"names\": 3}' WHERE tenant_id = 'sick'")
        )
    works = [world.work(world.event(), tenant) for tenant in ("acme", "sick", "nobody", "acme")]
    results = await world.handler.handle_batch(works)
    assert [type(result).__name__ for result in results] == [
        "Finished",
        "Permanent",
        "Permanent",
        "Finished",
    ]
    assert "names" in str(results[1])
    assert "there is no tenant nobody" in str(results[2])


async def test_facts_of_the_fleet_are_counted_with_their_amount_and_their_customer(
    world: World, superuser_database: Database
) -> None:
    async with superuser_database.transaction() as connection:
        for statement in (
            "INSERT INTO customer.customers VALUES ('acme', 'ada', 'Ada')",
            """INSERT INTO billing.accounts (tenant_id, account_id, customer_id, amount_minor,
                 currency, anchor_day, time_zone, rebilling_date)
               VALUES ('acme', 'A-1', 'ada', 2990, 'EUR', 1, 'UTC', '2026-04-01')""",
        ):
            await connection.execute(text(statement))
    paid = PaymentSucceeded(
        account_id="A-1",
        period_start=date(2026, 3, 1),
        attempt_no=1,
        amount_minor=2990,
        currency="EUR",
        gateway="log",
        transfer_id=7,
    )
    issued = PointsIssued(
        card_id="no-such-card",
        transaction_id="t-1",
        occurred_at=START,
        points=29,
        available_at=START,
        rules_version=1,
    )
    facts: list[Event] = [paid, issued]
    assert await world.send(*facts) == ["counted", "counted"]
    async with superuser_database.transaction() as connection:
        rows = await connection.execute(
            text("SELECT name, customer_id, amount_minor FROM analytics.events ORDER BY name")
        )
        assert [tuple(row) for row in rows] == [
            ("payment_succeeded", "ada", 2990),
            ("points_issued", None, None),
        ]


async def test_stored_events_are_never_changed_and_tenants_do_not_see_each_other(
    world: World, superuser_database: Database
) -> None:
    await world.seed("other")
    await world.send(world.event())
    for statement in ("UPDATE analytics.events SET name = 'x'", "DELETE FROM analytics.events"):
        with pytest.raises(DatabaseError):
            async with superuser_database.transaction() as connection:
                await connection.execute(text(statement))
    async with world.database.transaction() as connection:
        assert (await connection.execute(text("SELECT 1 FROM analytics.events"))).all() == []
    assert await world.buckets("other") == []
