"""Processes, deliveries and actions: what operators look at, and what stays written."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from billfleet_db import Database, actions, deliveries, processes
from billfleet_db.errors import DatabaseMisconfigured, IntegrityRefused

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def process(worker_id: str, *, beat_at: datetime = NOW) -> processes.Process:
    return processes.Process(
        worker_id, "here", 7, "1.0", ("rebill",), NOW, beat_at, {"queues": [], "problems": []}
    )


def delivery(event_id: str, outcome: str, *, at: datetime = NOW) -> deliveries.Delivery:
    return deliveries.Delivery(
        at,
        "rebill",
        f"m-{event_id}",
        event_id,
        "t",
        "acme",
        "/s",
        "k",
        outcome,
        "a\0b",
        "",
        1,
        2,
        "w",
    )


async def test_a_process_has_one_row_with_its_latest_beat_until_it_leaves(
    database: Database,
) -> None:
    async with database.transaction() as connection:
        await processes.beat(connection, process("w-1"))
        await processes.beat(connection, process("w-1", beat_at=NOW + timedelta(seconds=10)))
        await processes.beat(connection, process("w-2", beat_at=NOW - timedelta(hours=1)))
        [alive] = await processes.processes_since(connection, NOW)
        assert (alive.worker_id, alive.beat_at) == ("w-1", NOW + timedelta(seconds=10))
        await processes.leave(connection, "w-1")
        await processes.prune(connection, before=NOW)
        assert await processes.processes_since(connection, NOW - timedelta(days=1)) == []


async def test_deliveries_are_found_by_event_and_by_message_and_setbacks_outlive_the_rest(
    database: Database,
) -> None:
    async with database.transaction() as connection:
        await deliveries.add(connection, [delivery("e-1", "retry"), delivery("e-1", "done")])
        await deliveries.add(connection, [delivery("e-2", "poison", at=NOW - timedelta(days=9))])
        assert [one.outcome for one in await deliveries.of(connection, ["e-1"])] == [
            "retry",
            "done",
        ]
        [poison] = await deliveries.of(connection, ["m-e-2"])
        assert poison.note == "ab"
        await deliveries.prune(
            connection,
            setbacks_before=NOW - timedelta(days=5),
            done_before=NOW + timedelta(seconds=1),
        )
        assert [one.outcome for one in await deliveries.of(connection, ["e-1", "e-2"])] == ["retry"]
        assert len(await deliveries.latest_setbacks(connection, 10, "rebill")) == 1
        assert await deliveries.latest_setbacks(connection, 10, "collect") == []


async def begun(database: Database) -> int:
    async with database.transaction() as connection:
        return await actions.begin(
            connection,
            begun_at=NOW,
            operator="Ada",
            session="s",
            verb="replay",
            target="m-1",
            asked={"queue": "rebill"},
        )


async def finish(database: Database, action_id: int) -> None:
    async with database.transaction() as connection:
        await actions.finish(
            connection, action_id, finished_at=NOW, result="sent", is_well=True, answer={"sent": 1}
        )


async def test_an_action_is_written_before_and_finished_once(
    database: Database, superuser_database: Database
) -> None:
    action_id = await begun(database)
    await finish(database, action_id)
    async with database.transaction() as connection:
        [action] = await actions.latest(connection, 10)
        assert (action.operator, action.result, action.answer) == ("Ada", "sent", {"sent": 1})
        assert await actions.about(connection, ["m-1"]) == [action]
        assert await actions.one(connection, action_id) == action
    with pytest.raises(IntegrityRefused):
        await finish(database, action_id)
    for change in ("DELETE FROM fleet.actions", "TRUNCATE fleet.actions"):
        with pytest.raises(DatabaseMisconfigured):
            await say(database, change)
        with pytest.raises(IntegrityRefused):
            await say(superuser_database, "SET LOCAL session_replication_role = replica", change)


async def say(database: Database, *statements: str) -> None:
    async with database.transaction() as connection:
        for statement in statements:
            await connection.execute(text(statement))
