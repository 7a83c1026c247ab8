"""Exactly once in effect: sweeps and workers at the same time, again, and with the lights out.

Every test compares the set of (account, period) in the ledger with the one that it expects.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest
from sqlalchemy import event as sql_event
from sqlalchemy import text
from sqlalchemy.engine import Connection, Engine

from billfleet_contracts import AccountRebilled, CollectPayments, Envelope
from billfleet_db import Database, accounts
from billfleet_producers import RecordingProducer
from billfleet_workers.dates import periods_due
from billfleet_workers.handlers.rebill.sweep import sweep_rebill
from billfleet_workers.runtime.clock import ManualClock
from billfleet_workers.runtime.errors import Transient, Unavailable
from rebill_world import (
    FEBRUARY,
    LIMITS,
    MARCH,
    NOW,
    TODAY,
    account,
    all_once,
    charges,
    handler,
    left,
    read,
    rebilling_dates,
    request,
    seed,
    work,
)

NAMES = [f"a{number:02d}" for number in range(40)]
WANTED = {(name, month) for name in NAMES for month in (FEBRUARY, MARCH)}


@pytest.fixture
async def producer() -> AsyncIterator[RecordingProducer]:
    async with RecordingProducer() as recording:
        yield recording


async def sweep(database: Database, producer: RecordingProducer, page_accounts: int = 7) -> None:
    await sweep_rebill(
        database, producer, ManualClock(NOW), limits=LIMITS, page_accounts=page_accounts
    )


async def handle_until_settled(database: Database, envelope: Envelope) -> int:
    """Deliver a message as SQS would: again, as long as it is retried. Returns the retries."""
    for retries in range(50):
        try:
            await handler(database).handle(work(envelope))
        except (Transient, Unavailable):
            continue
        return retries
    raise AssertionError("the message was never settled")


async def until_somebody_waits_for_a_lock(watcher: Database) -> None:
    while not await read(
        watcher,
        "SELECT 1 FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'",
    ):
        pass  # each question lets the event loop go on


async def assert_consistent(database: Database) -> None:
    """One bill, one announcement and one collection per charge, all of the charge's amount."""
    found = await charges(database)
    rows = await read(
        database,
        "SELECT b.account_id, b.period_start FROM billing.bills b JOIN billing.transfers t "
        "ON t.transfer_id = b.charge_transfer_id AND t.amount_minor = b.amount_minor "
        "ORDER BY 1, 2",
    )
    assert rows == found
    announced = [
        (envelope.data.account_id, envelope.data.period_start)
        for envelope in await left(database, AccountRebilled)
        if isinstance(envelope.data, AccountRebilled)
    ]
    assert sorted(announced) == found
    collected = [
        (ref.account_id, ref.period_start)
        for envelope in await left(database, CollectPayments)
        if isinstance(envelope.data, CollectPayments)
        for ref in envelope.data.charges
    ]
    assert sorted(collected) == found


async def test_two_sweeps_at_once_and_workers_beside_them_bill_each_period_once(
    database: Database, producer: RecordingProducer
) -> None:
    """R8: both sweeps page through while workers already move dates on."""
    await seed(database, *(account(name, FEBRUARY) for name in NAMES))

    async def work_beside() -> None:
        done = 0
        while done < len(producer.sent) or not all(sweep.done() for sweep in sweeps):
            for envelope in producer.envelopes[done:]:
                await handle_until_settled(database, envelope)
                done += 1
            await asyncio.sleep(0)

    sweeps = [asyncio.create_task(sweep(database, producer, size)) for size in (3, 7)]
    await asyncio.gather(*sweeps, work_beside())
    assert all_once(await charges(database), WANTED)
    await assert_consistent(database)


async def test_every_message_three_times_to_several_workers_in_any_order(
    database: Database, producer: RecordingProducer
) -> None:
    """R8, R9, R44: overlapping messages of different sweeps, workers that share no lock."""
    await seed(database, *(account(name, FEBRUARY) for name in NAMES))
    await sweep(database, producer, page_accounts=100)
    mixed = random.Random(7)
    overlapping = [
        request(*((name, month) for name in mixed.sample(NAMES, 15) for month in (FEBRUARY, MARCH)))
        for _ in range(6)
    ]
    deliveries = (producer.envelopes + overlapping) * 3
    mixed.shuffle(deliveries)
    retries = await asyncio.gather(
        *(handle_until_settled(database, envelope) for envelope in deliveries)
    )
    assert sum(retries) == 0, "workers that lock in one order never stand in each other's way"
    assert all_once(await charges(database), WANTED)
    await assert_consistent(database)


async def test_a_worker_waits_for_the_account_and_reads_it_as_the_other_one_left_it(
    database: Database, superuser_database: Database
) -> None:
    """R10, R11: price and date are read under the lock, not before."""
    await seed(database, account("a1"), account("a2"))
    async with database.transaction() as connection:
        await accounts.lock_accounts(connection, "acme", ["a1", "a2"])
        message = work(request(("a1", MARCH), ("a2", MARCH)))
        waiting = asyncio.create_task(handler(database).handle(message))
        await until_somebody_waits_for_a_lock(superuser_database)
        await connection.execute(
            text("UPDATE billing.accounts SET amount_minor = 5000 WHERE account_id = 'a1'")
        )
        await accounts.advance(connection, "acme", {"a2": date(2026, 4, 1)}, now=NOW)
    assert (await waiting).note == {"billed": 1, "skipped": 1}
    assert await read(database, "SELECT account_id, amount_minor FROM billing.bills") == [
        ("a1", 5000)
    ]


async def test_months_that_were_missed_are_caught_up_once_whatever_is_repeated(
    database: Database, producer: RecordingProducer
) -> None:
    """R1, R7, R8: anchors 1, 15, 29, 30 and 31, eight months behind, over several days."""
    anchors = {"a01": 1, "a15": 15, "a29": 29, "a30": 30, "a31": 31}
    starts = {name: date(2025, 7, anchor) for name, anchor in anchors.items()}
    await seed(
        database, *(account(n, starts[n], anchor_day=anchor) for n, anchor in anchors.items())
    )
    for _ in range(2):
        await sweep(database, producer)
        for envelope in producer.envelopes + producer.envelopes[::-1]:
            await handle_until_settled(database, envelope)
        producer.sent.clear()
    wanted = {
        (name, day)
        for name, anchor in anchors.items()
        for day in periods_due(starts[name], anchor, 1, TODAY)
    }
    assert all_once(await charges(database), wanted)
    await assert_consistent(database)


class Killer:
    """Kills the connection of a transaction right before or after its n-th statement."""

    def __init__(self, killers: Database, at: int) -> None:
        self._killers = killers
        self._left = at
        self.killed: int | None = None

    def before(self, connection: Connection, _: object, statement: str, *rest: object) -> None:
        if self.killed is not None or ("billing." not in statement and "fleet." not in statement):
            return
        self._left -= 1
        if self._left < 0:
            driver = connection.connection.dbapi_connection
            assert driver is not None
            pid = driver.run_async(_pid_of)
            self.killed = pid
            driver.run_async(lambda _: self._kill(pid))

    async def _kill(self, pid: int) -> None:
        async with self._killers.transaction() as connection:
            await connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


async def _pid_of(driver: object) -> int:
    pid = getattr(driver, "get_server_pid")()  # noqa: B009  # asyncpg has no types
    assert isinstance(pid, int)
    return pid


@pytest.mark.parametrize("at", range(9))
async def test_a_connection_lost_before_any_statement_leaves_nothing_and_the_next_delivery_bills(
    database: Database, superuser_database: Database, at: int
) -> None:
    """R8, R29: the lights go out at every boundary in turn."""
    await seed(database, account("a1", FEBRUARY), account("a2", FEBRUARY))
    envelope = request(*((name, month) for name in ("a1", "a2") for month in (FEBRUARY, MARCH)))
    killer = Killer(superuser_database, at)
    sql_event.listen(Engine, "before_cursor_execute", killer.before)
    try:
        with pytest.raises(Unavailable):
            await handler(database).handle(work(envelope))
    finally:
        sql_event.remove(Engine, "before_cursor_execute", killer.before)
    assert killer.killed is not None
    assert await charges(database) == []
    assert await rebilling_dates(database) == {"a1": FEBRUARY, "a2": FEBRUARY}
    assert await read(database, "SELECT 1 FROM fleet.outbox") == []
    finished = await handler(database).handle(work(envelope))
    assert finished.note == {"billed": 4}
    await assert_consistent(database)


async def test_a_worker_that_died_after_its_commit_is_followed_by_one_that_does_nothing(
    database: Database, producer: RecordingProducer
) -> None:
    """R29: the message was never deleted, and SQS delivers it again a day later."""
    await seed(database, account("a1", FEBRUARY))
    await sweep(database, producer)
    [envelope] = producer.envelopes
    await handler(database).handle(work(envelope))
    later = handler(database, now=NOW + timedelta(days=1))
    assert (await later.handle(work(envelope, receive_count=2))).note == {"skipped": 2}
    assert all_once(await charges(database), {("a1", FEBRUARY), ("a1", MARCH)})
