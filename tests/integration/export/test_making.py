"""A request becomes one complete file of one instant, or nothing."""

import asyncio
import csv
import hashlib
import io
import json
import uuid
from datetime import date, timedelta
from typing import Any

import pytest

from billfleet_contracts import ExportFailed, ExportReady
from billfleet_db import exports, files
from billfleet_db.datasets import DATASETS
from billfleet_db.exports import manifest_key
from billfleet_db.files import FILE_LIFE_DAYS
from billfleet_workers.runtime.errors import Permanent, Transient, Unavailable
from billfleet_workers.runtime.handling import Finished
from export_world import EXPORT_ID, NOW, TENANT, ExportWorld, HeldStore

FIRST_BYTES = {"parquet": b"PAR1", "xlsx": b"PK\x03\x04", "csv": b"transfer_id", "ndjson": b'{"tr'}


def rows_of(body: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body.decode(), newline="")))


async def test_csv_has_a_header_and_every_row_of_the_tenant_alone(world: ExportWorld) -> None:
    await world.post(3)
    await world.post(2, tenant="bolt", prefix="b")
    finished = await world.run(world.request())
    rows = rows_of(world.only_object().body)
    assert [row["amount_minor"] for row in rows] == ["101", "102", "103"]
    assert {row["account_id"] for row in rows} == {"acc-1"}
    assert finished.note["rows"] == 3


async def test_export_is_ready_with_its_file_its_manifest_and_one_fact(world: ExportWorld) -> None:
    """R85, R86, R88."""
    await world.post(3)
    await world.run(world.request())
    made = await world.export()
    stored = world.only_object()
    key = str(made.object_key)
    assert set(world.memory.objects) == {key, manifest_key(key)}
    assert key == f"exports/acme/2026/11/{EXPORT_ID}-ledger-2026-11-21.csv"
    manifest: Any = made.manifest
    assert (made.state, made.rows_written, made.bytes_count) == ("ready", 3, len(stored.body))
    assert manifest["sha256"] == hashlib.sha256(stored.body).hexdigest()
    assert (manifest["rows"], manifest["bytes"]) == (3, len(stored.body))
    assert manifest["columns"][0] == {"name": "transfer_id", "kind": "integer"}
    assert manifest["dataset_version"] == 1
    assert manifest["snapshot_lsn"].count("/") == 1
    assert manifest["snapshot_at"].endswith("+00:00")
    assert made.expires_at == NOW + timedelta(days=FILE_LIFE_DAYS)
    assert await world.facts() == [
        ExportReady(
            export_id=EXPORT_ID,
            file_id=EXPORT_ID,
            file_name="ledger-2026-11-21.csv",
            dataset="ledger",
            format="csv",
            rows=3,
            bytes_count=len(stored.body),
            expires_at=NOW + timedelta(days=FILE_LIFE_DAYS),
            notify_contact_id="owner",
        )
    ]


async def test_the_same_request_again_makes_no_second_file_and_no_second_mail(
    world: ExportWorld,
) -> None:
    """R83."""
    await world.post(1)
    await world.run(world.request())
    before = world.only_object()
    await world.post(1, prefix="later")
    again = await world.run(world.request())
    assert again == Finished({"state": "ready"})
    assert world.only_object() is before
    assert len(await world.facts()) == 1


async def test_an_id_that_is_taken_by_another_request_is_refused(world: ExportWorld) -> None:
    await world.run(world.request())
    with pytest.raises(Permanent, match="other contents"):
        await world.run(world.request("ndjson"))


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet", "xlsx"])
async def test_every_format_is_written_even_without_rows(world: ExportWorld, form: Any) -> None:
    await world.run(world.request(form))
    made = await world.export()
    assert (made.state, made.rows_written) == ("ready", 0)
    body = world.only_object().body
    assert body.startswith(FIRST_BYTES[form]) if form != "ndjson" else body == b""


async def test_ndjson_is_one_object_a_line_whatever_the_text_holds(world: ExportWorld) -> None:
    await world.post(2, reason='line\nbreak, "quote", back\\slash, tab\t, \u8acb =1+1')
    await world.run(world.request("ndjson"))
    lines = world.only_object().body.decode().splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 2
    assert rows[0]["reason"] == 'line\nbreak, "quote", back\\slash, tab\t, \u8acb =1+1'
    assert rows[0]["amount_minor"] == 101
    assert rows[0]["posted_at"] == "2026-01-01T00:01:00+00:00"


@pytest.mark.parametrize("name", [name for name, one in DATASETS.items() if "csv" in one.formats])
async def test_every_data_set_is_written_with_every_filter(world: ExportWorld, name: str) -> None:
    values = {"text": "x", "integer": "1", "date": "2026-01-01", "instant": "2026-01-01T00:00:00"}
    filters = {
        known.name: known.choices[0] if known.choices else values[known.kind]
        for known in DATASETS[name].filters
    }
    await world.run(world.request(dataset=name, filters=filters))
    made = await world.export()
    assert (made.state, made.failure) == ("ready", None)
    header = world.only_object().body.decode().strip()
    assert header.split(",") == [column.name for column in DATASETS[name].columns]


async def test_columns_and_filters_choose_and_order_what_is_written(world: ExportWorld) -> None:
    await world.post(5)
    asked = world.request(
        columns=["currency", "amount_minor"],
        filters={"posted_from": "2026-01-01", "posted_to": "2026-01-01", "kind": "payment"},
    )
    await world.run(asked)
    assert world.only_object().body.splitlines()[:2] == [b"currency,amount_minor", b"EUR,101"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"dataset": "secrets"}, "no data set 'secrets'; there are accounts"),
        ({"columns": ["colour"]}, "no column 'colour'; it has transfer_id"),
        ({"columns": ["kind", "kind"]}, "named twice"),
        ({"filters": {"colour": "red"}}, "no filter 'colour'; it has account_id"),
        ({"filters": {"kind": "gift"}}, "kind is one of charge"),
        ({"filters": {"posted_from": "yesterday"}}, "posted_from is a day"),
        ({"form": "pdf"}, "written as csv, ndjson, parquet, xlsx, not as pdf"),
        ({"dataset": "statement", "form": "pdf"}, "needs the filter 'account_id'"),
    ],
)
async def test_a_request_that_cannot_be_met_is_told_why_and_is_no_poison(
    world: ExportWorld, asked: Any, said: str
) -> None:
    await world.run(world.request(**asked))
    made = await world.export()
    assert made.state == "failed"
    assert made.failure is not None
    assert said in made.failure
    (fact,) = await world.facts()
    assert isinstance(fact, ExportFailed)
    assert said in fact.reason
    assert not world.memory.objects


async def test_a_value_of_a_filter_is_a_value_and_never_sql(world: ExportWorld) -> None:
    await world.post(2)
    evil = "x' OR tenant_id <> '"
    await world.run(world.request(filters={"account_id": evil}))
    assert (await world.export()).rows_written == 0


async def test_names_that_would_run_are_shielded_in_csv_and_whole_in_ndjson(
    world: ExportWorld,
) -> None:
    """R79."""
    await world.run(world.request(dataset="accounts"))
    (row,) = rows_of(world.only_object().body)
    assert row["customer_name"] == '\'=HYPERLINK("http://evil","click")'
    assert row["amount_minor"] == "2990"
    other = str(uuid.uuid4())
    world.memory.objects.clear()
    await world.run(world.request("ndjson", "accounts", export_id=other))
    assert json.loads(world.only_object().body)["customer_name"].startswith("=HYPERLINK")


async def test_writes_during_an_export_do_not_show(world: ExportWorld) -> None:
    """R80: the store holds the export up in its first part; rows are posted meanwhile."""
    await world.post(800, reason="x" * 10_000)
    held = HeldStore(world.memory)
    worker = world.make_handler(objects=held)
    running = asyncio.create_task(world.run(world.request(), handler=worker))
    await held.reached.wait()
    await world.post(1_000, prefix="later")
    held.go_on.set()
    finished = await running
    assert finished.note["rows"] == 800
    assert len(rows_of(world.only_object().body)) == 800


async def test_a_failing_part_aborts_the_upload_and_the_next_try_succeeds(
    world: ExportWorld,
) -> None:
    """R82."""
    await world.post(2)
    world.memory.faults.lose_answers("put_part")
    with pytest.raises(Unavailable):
        await world.run(world.request())
    assert not world.memory.objects
    assert not world.memory.uploads
    assert (await world.export()).state == "requested"
    assert (await world.export()).tries == 0
    await world.run(world.request())
    assert (await world.export()).state == "ready"


async def test_completed_object_of_a_run_that_died_is_replaced_and_never_announced(
    world: ExportWorld,
) -> None:
    """R82, R83: the answer of the last step is lost, so nobody knows; the next run makes sure."""
    await world.post(1)
    world.memory.faults.lose_answers("complete")
    with pytest.raises(Unavailable):
        await world.run(world.request())
    assert len(world.memory.objects) == 1
    assert await world.facts() == []
    await world.post(1, prefix="later")
    await world.run(world.request())
    assert (await world.export()).rows_written == 2
    assert len(rows_of(world.only_object().body)) == 2
    assert len(await world.facts()) == 1


async def test_run_that_lost_its_lease_publishes_nothing(world: ExportWorld) -> None:
    """R82, R83: a worker that slept through its lease finds its upload gone."""
    await world.post(800, reason="x" * 10_000)
    held = HeldStore(world.memory)
    slow = world.make_handler(objects=held)
    sleeping = asyncio.create_task(world.run(world.request(), handler=slow))
    await held.reached.wait()
    await world.clock.advance(1)
    async with world.superuser.transaction() as connection:
        await connection.exec_driver_sql(
            "UPDATE fleet.exports SET leased_until = '2000-01-01 00:00+00'"
        )
    await world.run(world.request(), handler=world.make_handler())
    published = world.only_object()
    held.go_on.set()
    with pytest.raises(Transient):
        await sleeping
    assert world.only_object() is published
    assert len(await world.facts()) == 1
    assert not world.memory.uploads


async def test_export_that_another_worker_writes_is_left_to_it(world: ExportWorld) -> None:
    run = exports.Run(TENANT, uuid.UUID(EXPORT_ID), uuid.uuid4())
    await world.run(world.request(dataset="secrets"))
    async with world.superuser.transaction() as connection:
        await connection.exec_driver_sql(
            "UPDATE fleet.exports SET state = 'running', run_id = gen_random_uuid(),"
            " failure = null, finished_at = null, dataset = 'ledger',"
            " leased_until = '2026-11-21 12:00:40+00'"
        )
    with pytest.raises(Transient, match="another worker is writing it") as later:
        await world.run(world.request())
    assert later.value.retry_after_s == 30.0
    async with world.database.transaction() as connection:
        held = await exports.advance(connection, run, rows=1, bytes_count=1, until=NOW)
    assert held == "lost"


async def test_tenant_with_its_share_running_waits_and_others_do_not(world: ExportWorld) -> None:
    await world.run(world.request())
    async with world.superuser.transaction() as connection:
        await connection.exec_driver_sql(
            "UPDATE fleet.exports SET state = 'running', run_id = gen_random_uuid(),"
            " manifest = null, finished_at = null, leased_until = '2026-11-21 12:00:40+00'"
        )
    one = world.make_handler(per_tenant_max=1)
    with pytest.raises(Transient, match="1 exports of this tenant are running"):
        await world.run(world.request(export_id=str(uuid.uuid4())), handler=one)
    other = str(uuid.uuid4())
    await world.run(world.request(export_id=other), tenant="bolt", handler=one)
    assert (await world.export(other, tenant="bolt")).state == "ready"


async def test_wish_to_stop_ends_a_running_export_without_a_file(world: ExportWorld) -> None:
    await world.post(800, reason="x" * 10_000)
    held = HeldStore(world.memory)
    worker = world.make_handler(objects=held)
    running = asyncio.create_task(world.run(world.request(), handler=worker))
    await held.reached.wait()
    async with world.database.transaction() as connection:
        assert await exports.cancel(connection, TENANT, uuid.UUID(EXPORT_ID), now=NOW)
    while not running.done():
        await world.clock.advance(5)
        await asyncio.sleep(0)
    assert running.result() == Finished({"state": "cancelled"})
    assert (await world.export()).state == "cancelled"
    assert not world.memory.objects
    assert not world.memory.uploads
    (fact,) = await world.facts()
    assert isinstance(fact, ExportFailed)
    assert fact.cancelled


async def test_export_that_was_stopped_before_it_began_is_never_written(
    world: ExportWorld,
) -> None:
    await world.post(1)
    world.memory.faults.take_away()
    with pytest.raises(Unavailable):
        await world.run(world.request())
    world.memory.faults.bring_back()
    async with world.database.transaction() as connection:
        await exports.cancel(connection, TENANT, uuid.UUID(EXPORT_ID), now=NOW)
    await world.run(world.request())
    assert (await world.export()).state == "cancelled"
    assert not world.memory.objects
    assert len(await world.facts()) == 1


async def test_export_that_is_begun_too_often_is_given_up_with_a_reason(
    world: ExportWorld,
) -> None:
    world.memory.faults.take_away()
    with pytest.raises(Unavailable):
        await world.run(world.request())
    world.memory.faults.bring_back()
    async with world.superuser.transaction() as connection:
        await connection.exec_driver_sql("UPDATE fleet.exports SET tries = 8")
    await world.run(world.request())
    made = await world.export()
    assert made.state == "failed"
    assert made.failure == "it was begun 8 times and never came to its end"


async def test_drained_worker_aborts_and_gives_the_export_back(world: ExportWorld) -> None:
    """R82."""
    await world.post(800, reason="x" * 10_000)
    held = HeldStore(world.memory)
    worker = world.make_handler(objects=held)
    running = asyncio.create_task(world.run(world.request(), handler=worker))
    await held.reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not world.memory.uploads
    assert not world.memory.objects
    made = await world.export()
    assert (made.state, made.tries) == ("requested", 0)


async def test_ready_export_is_expired_after_its_days_and_revoked_on_request(
    world: ExportWorld,
) -> None:
    """R84, R85."""
    await world.run(world.request())
    await world.clock.advance(FILE_LIFE_DAYS * 86400)
    assert (await world.export()).state == "expired"
    async with world.database.transaction() as connection:
        await files.revoke(connection, TENANT, uuid.UUID(EXPORT_ID), reason="wrong", now=NOW)
    assert (await world.export()).state == "revoked"


async def test_statement_is_refused_for_an_account_that_there_is_not(world: ExportWorld) -> None:
    days = {"posted_from": "2026-01-01", "posted_to": "2026-12-31"}
    await world.run(world.request("pdf", "statement", filters={"account_id": "acc-9", **days}))
    assert (await world.export()).failure == "there is no account 'acc-9'"


def test_days_of_the_life_of_a_file_are_those_of_the_issue() -> None:
    assert date(2026, 1, 1) + timedelta(days=FILE_LIFE_DAYS) == date(2026, 1, 31)
