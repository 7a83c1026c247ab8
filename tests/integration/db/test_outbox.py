from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from billfleet_db import Database, outbox
from billfleet_db.errors import DatabaseUnavailable, IntegrityRefused
from billfleet_db.outbox import NewOutboxRow
from fixtures_postgres import Cluster

NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)


def event(number: int, **changes: str) -> NewOutboxRow:
    values = {
        "tenant_id": "acme",
        "event_id": f"event-{number}",
        "event_type": "billfleet.billing.account_rebilled.v1",
        "route_kind": "topic",
        "route_name": "events",
        "group_id": None if number % 2 else "acme",
        "dedupe_key": f"rebilled:{number}",
        "body": '{"a": "ü"}',
    }
    return NewOutboxRow(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
async def filled(database: Database) -> Database:
    async with database.transaction() as connection:
        await outbox.add(connection, [event(n) for n in range(6)])
    return database


async def test_events_come_out_as_they_went_in_oldest_first(filled: Database) -> None:
    async with filled.transaction() as connection:
        taken = await outbox.take(connection, 10)
    assert [row.event_id for row in taken] == [f"event-{n}" for n in range(6)]
    assert (taken[0].group_id, taken[1].group_id, taken[0].body) == ("acme", None, '{"a": "ü"}')


async def test_nothing_added_is_nothing_done(database: Database) -> None:
    async with database.transaction() as connection:
        await outbox.add(connection, [])
        assert await outbox.take(connection, 10) == []


async def test_two_relays_at_once_never_take_the_same_row(filled: Database) -> None:
    async with filled.transaction() as one, filled.transaction() as two:
        first = await outbox.take(one, 4)
        second = await outbox.take(two, 4)
    assert [row.event_id for row in first] == [f"event-{n}" for n in range(4)]
    assert [row.event_id for row in second] == ["event-4", "event-5"]


async def test_what_is_not_marked_sent_is_taken_again(filled: Database) -> None:
    async with filled.transaction() as connection:
        taken = await outbox.take(connection, 4)
        assert await outbox.mark_sent(connection, [r.outbox_id for r in taken[:2]], NOW) == 2
    async with filled.transaction() as connection:
        again = await outbox.take(connection, 4)
        assert await outbox.mark_sent(connection, [taken[0].outbox_id], NOW) == 0
    assert [row.event_id for row in again] == ["event-2", "event-3", "event-4", "event-5"]


async def test_an_event_of_a_transaction_rolled_back_never_leaves(database: Database) -> None:
    async def add_and_fail() -> None:
        async with database.transaction() as connection:
            await outbox.add(connection, [event(1)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await add_and_fail()
    async with database.transaction() as connection:
        assert await outbox.take(connection, 10) == []


async def test_an_event_id_used_twice_is_refused_by_name(filled: Database) -> None:
    with pytest.raises(IntegrityRefused) as refused:
        async with filled.transaction() as connection:
            await outbox.add(connection, [event(1)])
    assert refused.value.constraint == "uq_outbox_event_id"


async def test_pruning_takes_sent_events_only_and_no_more_than_asked(filled: Database) -> None:
    async with filled.transaction() as connection:
        taken = await outbox.take(connection, 4)
        await outbox.mark_sent(connection, [row.outbox_id for row in taken], NOW)
        assert await outbox.prune(connection, NOW) == 0
        assert await outbox.prune(connection, NOW + timedelta(seconds=1), limit=3) == 3
        assert await outbox.prune(connection, NOW + timedelta(seconds=1)) == 1
        assert (await outbox.depth_and_age(connection)).depth == 2


async def test_an_unsent_event_cannot_be_deleted(filled: Database) -> None:
    with pytest.raises(IntegrityRefused) as refused:
        async with filled.transaction() as connection:
            await connection.execute(text("DELETE FROM fleet.outbox"))
    assert refused.value.constraint == "unsent_outbox"


async def test_the_backlog_is_counted_and_aged(
    filled: Database, superuser_database: Database
) -> None:
    async with superuser_database.transaction() as connection:
        await connection.execute(
            text(
                "UPDATE fleet.outbox SET created_at = now() - interval '1 hour'"
                " WHERE event_id = 'event-3'"
            )
        )
    async with filled.transaction() as connection:
        backlog = await outbox.depth_and_age(connection)
        await outbox.mark_sent(
            connection, [r.outbox_id for r in await outbox.take(connection, 9)], NOW
        )
        empty = await outbox.depth_and_age(connection)
    assert backlog.depth == 6
    assert 3600 <= backlog.oldest_age_s < 3700
    assert empty == outbox.Backlog(0, 0.0)


async def test_a_relay_hears_of_new_events_once_they_are_committed(database: Database) -> None:
    async with database.listening(outbox.CHANNEL) as announcements:
        assert not await announcements.wait(0)
        async with database.transaction() as connection:
            await outbox.add(connection, [event(1)])
        assert await announcements.wait(30)
        assert not await announcements.wait(0)


async def test_a_relay_whose_connection_is_lost_is_told_so(
    database: Database, superuser_database: Database
) -> None:
    async with database.listening(outbox.CHANNEL) as announcements:
        async with superuser_database.transaction() as connection:
            await connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE usename = 'billfleet_app'"
                )
            )
        with pytest.raises(DatabaseUnavailable):
            await announcements.wait(30)


async def test_listening_without_a_server_says_where(
    postgres_cluster: Cluster, database_name: str
) -> None:
    url = postgres_cluster.app_url(database_name).replace(str(postgres_cluster.port), "1")
    nowhere = Database.connect(url)
    with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1:1/"):
        async with nowhere.listening(outbox.CHANNEL):
            pass
    await nowhere.close()
