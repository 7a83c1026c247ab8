"""The outbox leaves at least once, in order, whatever dies, and no row holds up the others."""

import asyncio
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from billfleet_db import Database, outbox
from billfleet_workers.adapters.memory_metrics import MemoryMetrics
from billfleet_workers.adapters.memory_publisher import MemoryPublisher
from billfleet_workers.handlers.relay import Relay, Sealer
from billfleet_workers.runtime.clock import ManualClock, SystemClock
from billfleet_workers.runtime.ports.queue import EntryFailure

NOW = datetime(2026, 1, 31, tzinfo=UTC)
NO = EntryFailure("MessageTooLong", "over the limit", retriable=False)


def row(number: int, card: str | None = None) -> outbox.NewOutboxRow:
    """An announcement, or a message about a card on the FIFO queue of loyalty."""
    return outbox.NewOutboxRow(
        tenant_id="acme",
        event_id=f"e-{number}",
        event_type="billfleet.billing.account_rebilled.v1",
        route_kind="queue" if card else "topic",
        route_name="loyalty.fifo" if card else "events",
        group_id=card or "acme",
        dedupe_key=f"k-{number}",
        body=f'{{"n":{number}}}',
    )


async def put(database: Database, count: int, first: int = 0) -> None:
    async with database.transaction() as connection:
        await outbox.add(connection, [row(number) for number in range(first, first + count)])


async def waiting(database: Database) -> list[str]:
    async with database.transaction() as connection:
        found = await connection.execute(
            text("SELECT event_id FROM fleet.outbox WHERE sent_at IS NULL ORDER BY outbox_id")
        )
        return [event_id for (event_id,) in found]


class Bench:
    """A relay over a real database and a publisher in memory."""

    def __init__(self, database: Database) -> None:
        self.clock = ManualClock(NOW)
        self.publisher = MemoryPublisher()
        self.metrics = MemoryMetrics()
        self.relay = Relay(database, self.publisher, self.clock, self.metrics)

    def ids(self) -> list[str]:
        return [letter.event_id for letter in self.publisher.published]


async def test_rows_leave_in_order_and_are_marked_as_sent(database: Database) -> None:
    bench = Bench(database)
    await put(database, 5)
    done = await bench.relay.publish_once()
    assert (done.taken, done.sent) == (5, 5)
    assert bench.ids() == [f"e-{number}" for number in range(5)]
    assert await waiting(database) == []
    assert (await bench.relay.publish_once()).taken == 0
    assert bench.metrics.total("outbox_published", route="events") == 5


async def test_a_refused_row_is_put_aside_with_its_reason_and_others_pass_it(
    database: Database,
) -> None:
    bench = Bench(database)
    await put(database, 3)
    bench.publisher.faults.refuse_entries("publish", None, NO, None)
    assert (await bench.relay.publish_once()).sent == 2
    assert await waiting(database) == ["e-1"]
    await put(database, 1, first=3)
    assert (await bench.relay.publish_once()).taken == 1
    async with database.transaction() as connection:
        refused = await connection.execute(
            text("SELECT refusals, refused, try_at > now() FROM fleet.outbox WHERE sent_at IS NULL")
        )
        assert [tuple(found) for found in refused] == [(1, "over the limit", True)]


async def put_cards(database: Database, *cards: str) -> None:
    async with database.transaction() as connection:
        await outbox.add(connection, [row(number, card) for number, card in enumerate(cards)])


async def test_no_message_of_a_card_overtakes_one_that_was_refused(
    database: Database, superuser_database: Database
) -> None:
    """The redemption would find the points of the purchase before it missing."""
    bench = Bench(database)
    await put_cards(database, "card-1", "card-1", "card-2")
    bench.publisher.faults.refuse_entries("publish", NO, None)
    await bench.relay.publish_once()
    assert not (await bench.relay.publish_once()).taken
    assert (bench.ids(), await waiting(database)) == (["e-2"], ["e-0", "e-1"])
    async with superuser_database.transaction() as connection:
        await connection.execute(text("UPDATE fleet.outbox SET try_at = NULL"))
    await bench.relay.publish_once()
    await bench.relay.publish_once()
    assert bench.ids() == ["e-2", "e-0", "e-1"]


async def test_a_second_relay_leaves_the_cards_alone_that_the_first_has_in_hand(
    database: Database,
) -> None:
    await put_cards(database, "card-1", "card-2", "card-1")
    async with database.transaction() as one, database.transaction() as two:
        first = await outbox.take(one, 1)
        second = await outbox.take(two, 10)
    assert [taken.event_id for taken in (*first, *second)] == ["e-0", "e-1"]


async def test_many_messages_of_one_card_leave_in_order_without_a_pause_between_them(
    database: Database,
) -> None:
    publisher = MemoryPublisher()
    relay = Relay(database, publisher, SystemClock(), MemoryMetrics())
    await put_cards(database, *["card-1"] * 30)
    running = asyncio.create_task(relay.run())
    # A pause after each would take thirty seconds.
    async with asyncio.timeout(15):
        while await waiting(database):  # noqa: ASYNC110 - it is the database that changes
            await asyncio.sleep(0.02)
        relay.drain()
        await running
    assert [letter.event_id for letter in publisher.published] == [f"e-{n}" for n in range(30)]


async def test_a_refused_row_comes_up_again_when_its_time_has_come(
    database: Database, superuser_database: Database
) -> None:
    bench = Bench(database)
    await put(database, 1)
    bench.publisher.faults.refuse_entries("publish", NO)
    await bench.relay.publish_once()
    async with superuser_database.transaction() as connection:
        await connection.execute(text("UPDATE fleet.outbox SET try_at = now() - interval '1 s'"))
    assert (await bench.relay.publish_once()).sent == 1


async def test_waits_of_a_refused_row_grow_and_have_a_bound(database: Database) -> None:
    await put(database, 1)
    waits = []
    for _ in range(12):
        async with database.transaction() as connection:
            (outbox_id,) = (
                await connection.execute(text("SELECT outbox_id FROM fleet.outbox"))
            ).one()
            await outbox.postpone(connection, {outbox_id: "no"})
            (try_in,) = (
                await connection.execute(
                    text("SELECT try_at - clock_timestamp() FROM fleet.outbox")
                )
            ).one()
        waits.append(round(try_in / timedelta(seconds=1)))
    assert waits[:4] == [1, 2, 4, 8]
    assert max(waits) == outbox.POSTPONED_S_MAX


async def test_a_crash_after_publishing_sends_again_and_loses_nothing(database: Database) -> None:
    bench = Bench(database)
    await put(database, 2)
    bench.publisher.faults.lose_answers("publish")
    running = asyncio.create_task(bench.relay.publish_once())
    await asyncio.wait([running])
    assert running.exception() is not None
    assert await waiting(database) == ["e-0", "e-1"]
    await bench.relay.publish_once()
    assert bench.ids() == ["e-0", "e-1", "e-0", "e-1"]
    assert await waiting(database) == []


async def test_a_running_relay_hears_of_new_rows_outlives_an_outage_and_drains(
    database: Database,
) -> None:
    publisher, metrics = MemoryPublisher(), MemoryMetrics()
    relay = Relay(database, publisher, SystemClock(), metrics)
    running = asyncio.create_task(relay.run())
    publisher.faults.take_away()
    await put(database, 1)
    await asyncio.sleep(0)
    publisher.faults.bring_back()
    async with asyncio.timeout(20):
        while await waiting(database):  # noqa: ASYNC110 - it is the database that changes
            await asyncio.sleep(0.02)
    relay.drain()
    async with asyncio.timeout(5):
        await running


async def test_a_running_relay_lets_go_of_rows_that_were_sent_long_ago(
    database: Database,
) -> None:
    """Kept for ever, they would be the largest table of all."""
    clock = SystemClock()
    await put(database, 2)
    async with database.transaction() as connection:
        rows = await outbox.take(connection, 2)
        for row, days in zip(rows, (8, 6), strict=True):
            await outbox.mark_sent(connection, [row.outbox_id], clock.now() - timedelta(days=days))
    relay = Relay(database, MemoryPublisher(), clock, MemoryMetrics())
    running = asyncio.create_task(relay.run())
    async with asyncio.timeout(20):
        while len(await kept(database)) > 1:  # noqa: ASYNC110 - it is the database that changes
            await asyncio.sleep(0.02)
    relay.drain()
    async with asyncio.timeout(5):
        await running
    assert await kept(database) == ["e-1"]


async def kept(database: Database) -> list[str]:
    async with database.transaction() as connection:
        found = await connection.scalars(text("SELECT event_id FROM fleet.outbox"))
        return list(found)


async def test_two_relays_send_each_row_once_while_nothing_dies(database: Database) -> None:
    first, second = Bench(database), Bench(database)
    await put(database, 300)
    rounds = [first.relay.publish_once(), second.relay.publish_once()]
    await asyncio.gather(*rounds)
    await first.relay.publish_once()
    assert sorted(first.ids() + second.ids()) == sorted(f"e-{number}" for number in range(300))


async def test_the_sealer_seals_every_tenant(database: Database) -> None:
    sealer = Sealer(database, ManualClock(NOW), every_s=60)
    assert await sealer.seal_all() == 0
