"""The collect sweep on a real PostgreSQL, with a producer that records."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from billfleet_contracts import ChargeRef, CollectPayments
from billfleet_db import Database
from billfleet_producers import RecordingProducer
from billfleet_workers.handlers.rebill.collect_sweep import CollectReport, sweep_collect
from billfleet_workers.runtime.clock import ManualClock
from rebill_world import FEBRUARY, MARCH, NOW, account, execute, handle, seed

LATER = NOW + timedelta(hours=1)


@pytest.fixture
async def producer() -> AsyncIterator[RecordingProducer]:
    async with RecordingProducer() as recording:
        yield recording


async def sweep(
    database: Database,
    producer: RecordingProducer,
    *,
    now: datetime = LATER,
    tenant: str | None = None,
    dry_run: bool = False,
    page_bills: int = 3,
) -> CollectReport:
    return await sweep_collect(
        database,
        producer,
        ManualClock(now),
        tenant=tenant,
        dry_run=dry_run,
        page_bills=page_bills,
    )


def named(producer: RecordingProducer) -> list[ChargeRef]:
    return [ref for event in producer.events(CollectPayments) for ref in event.charges]


async def billed(database: Database, *names: str, tenant: str = "acme") -> None:
    await seed(database, *(account(name) for name in names), tenant=tenant)
    await handle(database, *((name, MARCH) for name in names), tenant=tenant)


async def attempted(database: Database, name: str, state: str, due_at: datetime) -> None:
    """An attempt without an outcome, as the collect worker leaves it."""
    column = "next_check_at" if state == "unknown" else "leased_until"
    await execute(
        database,
        "INSERT INTO billing.attempts (tenant_id, account_id, period_start, attempt_no, "
        "attempt_key, gateway, request_body, amount_minor, currency, state, checks_made, work_id, "
        f"{column}) VALUES ('acme', :name, '2026-03-01', 3, 'key:' || :name, 'log', '{{}}', 2985, "
        "'USD', :state, 2, 'w1', :due_at)",
        name=name,
        state=state,
        due_at=due_at,
    )


async def test_bills_are_taken_up_when_their_moment_has_come(
    database: Database, producer: RecordingProducer
) -> None:
    await billed(database, *(f"a{number}" for number in range(7)))
    before = await sweep(database, producer, now=LATER - timedelta(seconds=1))
    assert before.bills == 0
    producer.assert_nothing_sent()
    report = await sweep(database, producer)
    assert (report.bills, report.checks, report.is_complete) == (7, 0, True)
    assert named(producer) == [
        ChargeRef(account_id=f"a{number}", period_start=MARCH, attempt_no=1) for number in range(7)
    ]


async def test_the_attempt_that_is_meant_follows_those_that_were_made(
    database: Database, producer: RecordingProducer
) -> None:
    await billed(database, "a1")
    await execute(database, "UPDATE billing.bills SET attempts_made = 2")
    await sweep(database, producer)
    assert named(producer) == [ChargeRef(account_id="a1", period_start=MARCH, attempt_no=3)]


async def test_bills_that_are_paid_or_wait_for_a_person_are_left_alone(
    database: Database, producer: RecordingProducer
) -> None:
    """R28, R34."""
    await billed(database, "open", "paid", "stopped")
    await execute(database, "UPDATE billing.bills SET state = 'paid' WHERE account_id = 'paid'")
    await execute(
        database, "UPDATE billing.bills SET next_attempt_at = NULL WHERE account_id = 'stopped'"
    )
    await sweep(database, producer)
    assert [ref.account_id for ref in named(producer)] == ["open"]


@pytest.mark.parametrize("state", ["unknown", "prepared"])
async def test_an_attempt_without_an_outcome_is_asked_about_and_nothing_new_is_tried(
    database: Database, producer: RecordingProducer, state: str
) -> None:
    """R22, R23, R24: the account's bills wait until the outcome is known."""
    await billed(database, "asked", "early", "free")
    await attempted(database, "asked", state, LATER)
    await attempted(database, "early", state, LATER + timedelta(seconds=1))
    report = await sweep(database, producer)
    assert (report.bills, report.checks) == (1, 1)
    assert named(producer) == [
        ChargeRef(account_id="asked", period_start=MARCH, attempt_no=3, check_no=3),
        ChargeRef(account_id="free", period_start=MARCH, attempt_no=1),
    ]


async def test_messages_hold_one_tenant_and_at_most_a_hundred_charges(
    database: Database, producer: RecordingProducer
) -> None:
    names = [f"a{number:03d}" for number in range(100)]
    await billed(database, *names)
    await billed(database, "late", tenant="acme")
    await billed(database, "b1", tenant="other")
    report = await sweep(database, producer, page_bills=500)
    assert (report.bills, report.sent.messages) == (102, 3)
    sizes = [
        (envelope.tenant, len(envelope.data.charges))
        for envelope in producer.envelopes
        if isinstance(envelope.data, CollectPayments)
    ]
    assert sorted(sizes) == [("acme", 1), ("acme", 100), ("other", 1)]


async def test_pages_cover_everything_once_although_moments_are_equal(
    database: Database, producer: RecordingProducer
) -> None:
    await billed(database, *(f"a{number}" for number in range(5)))
    await billed(database, *(f"a{number}" for number in range(5)), tenant="other")
    report = await sweep(database, producer, page_bills=2)
    assert report.bills == 10
    seen = [
        (envelope.tenant, ref.account_id)
        for envelope in producer.envelopes
        if isinstance(envelope.data, CollectPayments)
        for ref in envelope.data.charges
    ]
    assert sorted(seen) == [(t, f"a{number}") for t in ("acme", "other") for number in range(5)]


async def test_repeated_sweeps_give_the_same_key_within_the_hour_and_a_new_one_after(
    database: Database, producer: RecordingProducer
) -> None:
    """A bill that a finished message left as it was is not lost behind its dedupe record."""
    await billed(database, "a1")
    for minutes in (0, 59, 60):
        await sweep(database, producer, now=LATER + timedelta(minutes=minutes))
    first, second, third = (envelope.dedupekey for envelope in producer.envelopes)
    assert first == second
    assert first != third


async def test_a_dry_run_of_one_tenant_counts_and_sends_nothing(
    database: Database, producer: RecordingProducer
) -> None:
    await billed(database, "a1", "a2")
    await billed(database, "b1", tenant="other")
    report = await sweep(database, producer, tenant="acme", dry_run=True)
    assert (report.bills, report.sent.messages) == (2, 1)
    producer.assert_nothing_sent()


async def test_a_collect_sweep_that_can_send_nothing_stops(
    database: Database, producer: RecordingProducer
) -> None:
    await billed(database, *(f"a{number}" for number in range(7)))
    producer.fail()
    report = await sweep(database, producer)
    assert (report.bills, report.sent.failed, report.is_complete) == (3, 1, False)
    assert report.sent.is_cut_short


async def test_the_oldest_due_bill_comes_first(
    database: Database, producer: RecordingProducer
) -> None:
    await billed(database, "a1", "a2")
    await execute(
        database,
        "UPDATE billing.bills SET next_attempt_at = :at WHERE account_id = 'a2'",
        at=datetime(FEBRUARY.year, FEBRUARY.month, FEBRUARY.day, tzinfo=NOW.tzinfo),
    )
    await sweep(database, producer)
    assert [ref.account_id for ref in named(producer)] == ["a2", "a1"]
