"""The rebill sweep on a real PostgreSQL, with a producer that records."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import pytest

from billfleet_contracts import AccountPeriod, RebillAccounts
from billfleet_db import Database, accounts
from billfleet_producers import RecordingProducer
from billfleet_workers.handlers.rebill.plan import RebillLimits
from billfleet_workers.handlers.rebill.sweep import HorizonExceeded, SweepReport, sweep_rebill
from billfleet_workers.runtime.clock import ManualClock
from rebill_world import (
    FEBRUARY,
    LIMITS,
    MARCH,
    NOW,
    TODAY,
    account,
    charges,
    execute,
    handler,
    read,
    seed,
    work,
)


@pytest.fixture
async def producer() -> AsyncIterator[RecordingProducer]:
    async with RecordingProducer() as recording:
        yield recording


async def sweep(
    database: Database,
    producer: RecordingProducer,
    *,
    now: datetime = NOW,
    as_of: date | None = None,
    tenant: str | None = None,
    limits: RebillLimits = LIMITS,
    dry_run: bool = False,
    page_accounts: int = 3,
) -> SweepReport:
    return await sweep_rebill(
        database,
        producer,
        ManualClock(now),
        as_of=as_of,
        tenant=tenant,
        limits=limits,
        dry_run=dry_run,
        page_accounts=page_accounts,
    )


def named(producer: RecordingProducer) -> list[tuple[str, date]]:
    """Every account and period that was enqueued, in order."""
    return [
        (item.account_id, item.period_start)
        for event in producer.events(RebillAccounts)
        for item in event.accounts
    ]


async def handle_all(database: Database, producer: RecordingProducer, now: datetime = NOW) -> None:
    """Give every recorded message to a worker, once, and forget it."""
    for envelope in producer.envelopes:
        await handler(database, now=now).handle(work(envelope))
    producer.sent.clear()


async def test_only_what_is_due_is_enqueued(
    database: Database, producer: RecordingProducer
) -> None:
    """R7: at or before today, not parked, not inactive."""
    late = account("late", date(2026, 2, 15), anchor_day=15)
    await seed(database, account("today"), late, account("tomorrow", TODAY + timedelta(days=1)))
    await seed(database, account("parked"), account("gone"))
    await execute(
        database,
        "UPDATE billing.accounts SET parked_at = now(), parked_reason = 'x' "
        "WHERE account_id = 'parked'",
    )
    await execute(
        database, "UPDATE billing.accounts SET state = 'INACTIVE' WHERE account_id = 'gone'"
    )
    report = await sweep(database, producer)
    assert named(producer) == [("late", date(2026, 2, 15)), ("today", MARCH)]
    assert (report.accounts, report.periods, report.sent.messages) == (2, 2, 1)
    assert report.is_complete


async def test_an_account_is_enqueued_from_its_own_midnight_on(
    database: Database, producer: RecordingProducer
) -> None:
    """R5, R6: from UTC-11 to UTC+14."""
    zones = {"east": "Pacific/Kiritimati", "mid": "UTC", "west": "Pacific/Niue"}
    await seed(database, *(account(name, time_zone=zone) for name, zone in zones.items()))
    midnights = {
        "east": datetime(2026, 2, 28, 10, tzinfo=UTC),
        "mid": datetime(2026, 3, 1, 0, tzinfo=UTC),
        "west": datetime(2026, 3, 1, 11, tzinfo=UTC),
    }
    expected: list[tuple[str, date]] = []
    for name, midnight in midnights.items():
        await sweep(database, producer, now=midnight - timedelta(seconds=1))
        assert named(producer) == expected
        producer.sent.clear()
        expected.append((name, MARCH))
        await sweep(database, producer, now=midnight)
        assert named(producer) == expected
        producer.sent.clear()


async def test_accounts_with_another_day_travel_in_another_message(
    database: Database, producer: RecordingProducer
) -> None:
    """R6: so that the worker can hold each period against its own day."""
    await seed(
        database,
        account("a", time_zone="Pacific/Kiritimati"),
        account("b", FEBRUARY, time_zone="Pacific/Niue"),
    )
    await sweep(database, producer, now=datetime(2026, 2, 28, 10, 30, tzinfo=UTC))
    assert sorted(event.as_of for event in producer.events(RebillAccounts)) == [
        date(2026, 2, 27),
        MARCH,
    ]


async def test_missed_periods_are_sent_oldest_first_up_to_the_cap_and_the_rest_stays_due(
    database: Database, producer: RecordingProducer
) -> None:
    """R7: five months missed, at most two a run."""
    await seed(database, account("a1", date(2025, 10, 31), anchor_day=31), account("a2"))
    limits = RebillLimits(catch_up_periods_max=2)
    billed: list[date] = []
    for expected_behind in (1, 1, 0):
        report = await sweep(database, producer, limits=limits)
        assert report.accounts_behind == expected_behind
        billed += [day for name, day in named(producer) if name == "a1"]
        await handle_all(database, producer)
    months = [date(2025, 10, 31), date(2025, 11, 30), date(2025, 12, 31), date(2026, 1, 31)]
    assert billed == [*months, date(2026, 2, 28)]
    assert await charges(database) == [*(("a1", day) for day in billed), ("a2", MARCH)]
    assert (await sweep(database, producer)).periods == 0


async def test_a_long_backlog_never_parks_an_account(
    database: Database, producer: RecordingProducer
) -> None:
    """R7, R12: the sweep stays below the limit a day by itself and goes on tomorrow."""
    await seed(database, account("a1", date(2025, 1, 1)))
    limits = RebillLimits(catch_up_periods_max=4, charges_per_day_max=6)
    sent = []
    for _ in range(3):
        report = await sweep(database, producer, limits=limits)
        sent.append((report.periods, report.accounts_waiting))
        for envelope in producer.envelopes:
            await handler(database, limits=limits).handle(work(envelope))
        producer.sent.clear()
    assert sent == [(4, 0), (2, 0), (0, 1)]
    tomorrow = NOW + timedelta(days=1)
    assert (await sweep(database, producer, limits=limits, now=tomorrow)).periods == 4
    assert await read(database, "SELECT parked_reason FROM billing.accounts") == [(None,)]


async def test_an_accounts_periods_stay_in_one_message_and_messages_in_one_tenant(
    database: Database, producer: RecordingProducer
) -> None:
    """R7: at most 100 periods a message."""
    names = [f"a{number:02d}" for number in range(20)]
    start = date(2025, 4, 1)
    await seed(database, *(account(name, start) for name in names), tenant="acme")
    await seed(database, *(account(name, start) for name in names), tenant="other")
    report = await sweep(database, producer)
    assert (report.accounts, report.periods, report.sent.messages) == (40, 480, 6)
    assert report.accounts_by_tenant == {"acme": 20, "other": 20}
    for envelope in producer.envelopes:
        assert isinstance(envelope.data, RebillAccounts)
        items = envelope.data.accounts
        assert len(items) <= 100
        for name in {item.account_id for item in items}:
            own = [place for place, item in enumerate(items) if item.account_id == name]
            assert len(own) == 12
            assert own == list(range(own[0], own[0] + 12))
    assert [envelope.tenant for envelope in producer.envelopes] == ["acme"] * 3 + ["other"] * 3


async def test_two_sweeps_enqueue_the_same_work_under_the_same_keys(
    database: Database, producer: RecordingProducer
) -> None:
    """R8."""
    await seed(database, *(account(f"a{number}", FEBRUARY) for number in range(10)))
    await sweep(database, producer)
    await sweep(database, producer)
    keys = [envelope.dedupekey for envelope in producer.envelopes]
    assert len(keys) == 2
    assert keys[0] == keys[1]


async def test_an_account_that_was_unparked_is_enqueued_under_a_new_key(
    database: Database, producer: RecordingProducer
) -> None:
    """R12: the message that was answered with `parked` does not stand in the way."""
    await seed(database, account("a1"))
    await sweep(database, producer)
    async with database.transaction() as connection:
        await accounts.park(connection, "acme", {"a1": "looked odd"}, now=NOW)
        assert await accounts.unpark(connection, "acme", "a1", now=NOW)
    await sweep(database, producer)
    assert len({envelope.dedupekey for envelope in producer.envelopes}) == 2
    assert [event.accounts for event in producer.events(RebillAccounts)] == [
        (AccountPeriod(account_id="a1", period_start=MARCH, generation=0),),
        (AccountPeriod(account_id="a1", period_start=MARCH, generation=1),),
    ]


async def test_a_date_beyond_the_horizon_is_refused_before_anything_is_sent(
    database: Database, producer: RecordingProducer
) -> None:
    """R13."""
    await seed(database, account("a1"))
    horizon = date(2026, 3, 2) + timedelta(days=LIMITS.horizon_days)
    with pytest.raises(HorizonExceeded, match="35 days ahead"):
        await sweep(database, producer, as_of=horizon + timedelta(days=1))
    producer.assert_nothing_sent()
    assert (await sweep(database, producer, as_of=horizon)).periods == 2


async def test_a_date_in_the_past_bills_no_further_than_that(
    database: Database, producer: RecordingProducer
) -> None:
    """R6."""
    await seed(database, account("a1", date(2026, 1, 1)))
    report = await sweep(database, producer, as_of=date(2026, 2, 10))
    assert named(producer) == [("a1", date(2026, 1, 1)), ("a1", FEBRUARY)]
    assert report.as_of == date(2026, 2, 10)


async def test_a_dry_run_counts_and_sends_nothing(
    database: Database, producer: RecordingProducer
) -> None:
    await seed(database, *(account(f"a{number}", FEBRUARY) for number in range(5)))
    dry = await sweep(database, producer, dry_run=True)
    producer.assert_nothing_sent()
    real = await sweep(database, producer)
    assert (dry.accounts, dry.periods, dry.sent.messages) == (5, 10, 1)
    assert (real.accounts, real.periods, real.sent.messages) == (5, 10, 1)


async def test_one_tenant_can_be_swept_alone(
    database: Database, producer: RecordingProducer
) -> None:
    for tenant in ("acme", "other", "third"):
        await seed(database, *(account(f"a{n}") for n in range(4)), tenant=tenant)
    report = await sweep(database, producer, tenant="other")
    assert report.accounts == 4
    assert {envelope.tenant for envelope in producer.envelopes} == {"other"}


async def test_what_was_not_sent_is_counted_and_found_again_by_the_next_sweep(
    database: Database, producer: RecordingProducer
) -> None:
    """R8: nothing is lost with a message that AWS refused."""
    for tenant in ("acme", "other"):
        await seed(database, *(account(f"a{n}") for n in range(2)), tenant=tenant)
    producer.fail(lambda message: message.group_id == "acme", times=1)
    report = await sweep(database, producer, page_accounts=50)
    assert (report.sent.messages, report.sent.failed) == (1, 1)
    assert not report.is_complete
    assert report.sent.reasons == ["told to fail by the test [ToldToFail]"]
    await handle_all(database, producer)
    again = await sweep(database, producer, page_accounts=50)
    assert again.is_complete
    assert {envelope.tenant for envelope in producer.envelopes} == {"acme"}


async def test_a_sweep_that_can_send_nothing_stops(
    database: Database, producer: RecordingProducer
) -> None:
    for number in range(5):
        await seed(database, *(account(f"a{n}") for n in range(4)), tenant=f"t{number}")
    producer.fail()
    report = await sweep(database, producer)
    assert report.sent.is_cut_short
    assert report.sent.failed == 1
    assert not report.is_complete


async def test_an_account_without_a_zone_is_sent_so_that_the_worker_parks_it(
    database: Database, producer: RecordingProducer
) -> None:
    """R12."""
    await seed(database, account("sick", time_zone="<+03>-03"), account("well"))
    report = await sweep(database, producer)
    assert report.accounts_sick == 1
    await handle_all(database, producer)
    assert await charges(database) == [("well", MARCH)]
    assert await read(
        database, "SELECT account_id FROM billing.accounts WHERE parked_at IS NOT NULL"
    ) == [("sick",)]
    assert (await sweep(database, producer)).accounts == 0


async def test_progress_is_told_page_by_page(
    database: Database, producer: RecordingProducer
) -> None:
    await seed(database, *(account(f"a{number}") for number in range(7)))
    seen: list[int] = []
    await sweep_rebill(
        database,
        producer,
        ManualClock(NOW),
        limits=LIMITS,
        progress=lambda report: seen.append(report.accounts),
        page_accounts=3,
    )
    assert seen == [3, 6, 7]
