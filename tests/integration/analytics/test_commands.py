"""The analytics commands, as a person types them, on PostgreSQL and an AWS endpoint."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
from sqlalchemy import text

from analytics_world import World
from billfleet_contracts import EventTracked, decode
from billfleet_db import Database
from billfleet_ops.clients import Clients
from billfleet_ops.exits import Exit
from loyalty_world import Say

NOW = datetime.now(UTC)


def with_world(database_url: str, act: Callable[[World], Awaitable[object]]) -> None:
    """Do something in a world of its own event loop, beside the commands."""

    async def play() -> None:
        database = Database.connect(database_url, pool_size=1)
        world = World(database)
        world.clock.set(NOW - timedelta(minutes=10))
        await world.seed()
        await act(world)
        await database.close()

    asyncio.run(play())


async def _three_purchases(world: World) -> None:
    await world.send(*(world.event(customer_id=f"c-{n}", amount_minor=2990) for n in range(3)))


def test_a_tracked_event_lies_in_the_queue_and_a_wrong_one_is_refused(
    say: Say, database_url: str, aws: Clients, stack: str
) -> None:
    with_world(database_url, lambda world: world.seed())
    track = ("analytics", "track", "purchase", "--tenant", "acme")
    assert say(*track, "--amount", "2990", "--currency", "EUR", "--id", "e-1")[0] == Exit.OK
    url = aws.sqs.get_queue_url(QueueName=f"{stack}-analytics")["QueueUrl"]
    (message,) = aws.sqs.receive_message(QueueUrl=url)["Messages"]
    event = decode(message["Body"]).data
    assert isinstance(event, EventTracked)
    assert (event.name, event.event_id, event.amount_minor) == ("purchase", "e-1", 2990)
    code, _, err = say(*track, "--amount", "1")
    assert (code, "currency" in err) == (Exit.USAGE, True)
    assert say(*track, "--properties", "[")[0] == Exit.USAGE


def test_figures_are_shown_with_a_sparkline_and_an_unknown_name_says_what_there_is(
    say: Say, database_url: str
) -> None:
    with_world(database_url, _three_purchases)
    code, out, _ = say("analytics", "show", "purchase", "--tenant", "acme", "--days", "2")
    assert code == Exit.OK
    assert "89.70 EUR" in out
    assert "█" in out
    said = json.loads(say("analytics", "show", "--tenant", "acme", "--json")[1])
    assert said["totals"][0]["customers"] == 3
    code, _, err = say("analytics", "show", "purchases", "--tenant", "acme")
    assert (code, "purchase." in err) == (Exit.USAGE, True)


def test_a_report_lies_in_the_object_store_and_in_the_folder_and_is_made_once(
    say: Say, database_url: str, tmp_path: Path, aws: Clients, stack: str
) -> None:
    with_world(database_url, _three_purchases)
    report = ("analytics", "report", "--month", f"{NOW:%Y-%m}", "--to", str(tmp_path / "out"))
    (made,) = json.loads(say(*report, "--json")[1])
    assert made["is_new"]
    page = next((tmp_path / "out").glob("*.html")).read_bytes()
    stored = aws.s3.get_object(Bucket=f"{stack}-files", Key=made["files"][0])
    assert stored["Body"].read() == page
    assert b"89.70 EUR" in page
    assert "made before" in say(*report)[1]


def test_raw_files_are_exported_and_a_recount_says_whether_it_is_equal(
    say: Say, database_url: str, superuser_url: str, stack: str
) -> None:
    with_world(database_url, _three_purchases)
    did = json.loads(say("sweep", "analytics", "--json")[1])
    assert (did["sketches"], did["events_exported"]) == (1, 3)
    assert say("analytics", "rebuild", "--verify")[0] == Exit.OK

    async def spoil() -> None:
        database = Database.connect(superuser_url, pool_size=1)
        async with database.transaction() as connection:
            await connection.execute(text("UPDATE analytics.buckets SET events = 4"))
        await database.close()

    asyncio.run(spoil())
    code, out, _ = say("analytics", "rebuild", "--verify")
    assert (code, "DIFFERENT" in out, "only raw" in out) == (Exit.FAILED, True, True)
    assert say("analytics", "rebuild")[0] == Exit.OK
    assert say("analytics", "rebuild", "--verify")[0] == Exit.OK


def test_the_files_that_are_listed_hold_each_event_once_while_merged_ones_still_lie_there(
    say: Say, database_url: str, aws: Clients, stack: str, tmp_path: Path
) -> None:
    """R71: a pattern would count twice for as long as readers of the old files are waited for."""
    files = ("analytics", "files", "--tenant", "acme")
    with_world(database_url, lambda world: world.seed())
    assert say(*files)[2].startswith("Nothing has been exported")
    for _ in range(4):
        with_world(database_url, lambda world: world.send(world.event(event_id=str(uuid.uuid4()))))
        say("sweep", "analytics")
    bucket = f"{stack}-files"
    lying = [one["Key"] for one in aws.s3.list_objects_v2(Bucket=bucket)["Contents"]]
    (listed,) = json.loads(say(*files, "--json")[1])
    assert (len(lying), listed["rows"]) == (5, 4)
    key = listed["file"].removeprefix(f"s3://{bucket}/")
    (tmp_path / "tenant=acme").mkdir()
    aws.s3.download_file(bucket, key, str(tmp_path / "tenant=acme" / "0.parquet"))
    table = say(*files, "--duckdb")[1].replace(listed["file"], f"{tmp_path}/tenant=acme/0.parquet")
    assert duckdb.execute(f"SELECT tenant, count(*) FROM {table} GROUP BY 1").fetchall() == [
        ("acme", 4)
    ]


def test_a_policy_is_shown_changed_checked_and_reset(say: Say, database_url: str) -> None:
    with_world(database_url, _three_purchases)
    policy = ("analytics", "policy", "--tenant", "acme")
    assert json.loads(say(*policy, "--json")[1])["age_max_days"] == 731
    said = say(*policy, "--set", '{"age_max_days": null, "group_min": 9}', "--json")[1]
    assert (json.loads(said)["age_max_days"], json.loads(said)["group_min"]) == (None, 9)
    code, _, err = say(*policy, "--set", '{"group_min": 0}')
    assert (code, "group_min" in err) == (Exit.USAGE, True)
    assert json.loads(say(*policy, "--reset", "--json")[1])["group_min"] == 5


def test_what_was_refused_is_shown_with_both_versions(say: Say, database_url: str) -> None:
    async def contradict(world: World) -> None:
        event = world.event()
        await world.send(event, event.model_copy(update={"amount_minor": 1}))

    with_world(database_url, contradict)
    (aside,) = json.loads(say("analytics", "quarantine", "--json")[1])
    assert aside["reason"] == "other_payload"
    assert (aside["kept"]["amount_minor"], aside["refused"]["amount_minor"]) == (1000, 1)
