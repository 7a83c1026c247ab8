"""Exports and due bills over HTTP: asked for once, told to their end."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text

from billfleet_contracts import ExportRequested, decode
from gateway_world import FrontDoor

ASKED: dict[str, Any] = {
    "dataset": "ledger",
    "format": "csv",
    "filters": {"currency": "EUR"},
    "columns": ["account_id"],
}


async def test_export_is_recorded_and_enqueued_together(
    front: FrontDoor, acme: httpx.AsyncClient, bolt: httpx.AsyncClient
) -> None:
    answer = await acme.post("/v1/exports", json=ASKED)
    assert answer.status_code == 202, answer.text
    export_id = answer.json()["export_id"]
    [row] = await front.rows("SELECT body FROM fleet.outbox")
    event = decode(row["body"]).data
    assert isinstance(event, ExportRequested)
    assert (event.export_id, event.filters) == (export_id, {"currency": "EUR"})
    seen = await acme.get(answer.headers["location"])
    assert (seen.json()["state"], seen.json()["download_url"]) == ("requested", None)
    assert (await bolt.get(f"/v1/exports/{export_id}")).status_code == 404


async def test_export_with_an_id_is_one_however_often_it_is_asked_for(
    front: FrontDoor, acme: httpx.AsyncClient
) -> None:
    """R83."""
    body = ASKED | {"export_id": "11111111-1111-4111-8111-111111111111"}
    one, two = [await acme.post("/v1/exports", json=body) for _ in range(2)]
    assert one.json() == two.json()
    other = await acme.post("/v1/exports", json=body | {"format": "xlsx"})
    assert other.status_code == 409
    assert len(await front.rows("SELECT 1 FROM fleet.exports")) == 1


async def test_export_is_told_to_its_end_with_a_link(
    front: FrontDoor, acme: httpx.AsyncClient
) -> None:
    asked = (await acme.post("/v1/exports", json=ASKED)).json()
    await front.send_outbox()
    states = []
    done = "rows_written = 7, finished_at = now()"
    for change in (
        "state = 'running', run_id = gen_random_uuid(), leased_until = now()",
        f"state = 'ready', run_id = NULL, leased_until = NULL, manifest = '{{}}', {done}",
    ):
        await change_exports(front, change)
        states.append((await acme.get(f"/v1/work/{asked['work_id']}")).json()["state"])
    assert states == ["working", "done"]
    await add_file(front, UUID(asked["export_id"]))
    seen = (await acme.get(f"/v1/exports/{asked['export_id']}")).json()
    assert seen["rows_written"] == 7
    path = seen["download_url"].removeprefix(front.door.options.public_url)
    async with front.client(None) as stranger:
        assert (await stranger.get(path)).status_code == 302


async def test_failed_export_is_told_with_its_reason(
    front: FrontDoor, acme: httpx.AsyncClient
) -> None:
    asked = (await acme.post("/v1/exports", json=ASKED)).json()
    await change_exports(front, "state = 'failed', failure = 'unknown_column', finished_at = now()")
    told = (await acme.get(f"/v1/work/{asked['work_id']}")).json()
    assert (told["state"], told["reason"]) == ("refused", "unknown_column")


async def test_due_bills_are_told_by_what_became_of_the_mail(
    front: FrontDoor, acme: httpx.AsyncClient
) -> None:
    ids = {}
    for request_id in ("r-1", "r-2", "r-3"):
        body = {"request_id": request_id}
        asked = await acme.post("/v1/accounts/acme-1/due-bills", json=body)
        ids[request_id] = asked.json()["work_id"]
    async with front.inside.transaction() as connection:
        await connection.execute(
            text("""
                INSERT INTO mail.requests
                  (tenant_id, request_id, account_id, state, work_id, asked_at, reason)
                VALUES ('acme', 'r-1', 'acme-1', 'accepted', 'w', now(), NULL),
                       ('acme', 'r-2', 'acme-1', 'duplicate', 'w', now(), NULL),
                       ('acme', 'r-3', 'acme-1', 'refused', 'w', now(), 'no_address')
            """)
        )
    told = {
        request_id: (await acme.get(f"/v1/work/{work_id}")).json()
        for request_id, work_id in ids.items()
    }
    assert {name: one["state"] for name, one in told.items()} == {
        "r-1": "working",
        "r-2": "done",
        "r-3": "refused",
    }
    assert told["r-2"]["outcome"] == {"answer": "duplicate"}
    assert told["r-3"]["reason"] == "no_address"


async def change_exports(front: FrontDoor, change: str) -> None:
    async with front.inside.transaction() as connection:
        await connection.execute(text(f"UPDATE fleet.exports SET {change}"))


async def add_file(front: FrontDoor, file_id: UUID) -> None:
    async with front.inside.transaction() as connection:
        await connection.execute(
            text("""
                INSERT INTO fleet.files (tenant_id, file_id, kind, object_key, file_name,
                  content_type, bytes_count, sha256, created_at, expires_at)
                VALUES ('acme', :file_id, 'exports', 'exports/acme/x', 'x.csv', 'text/csv', 1,
                  repeat('0', 64), :now, :later)
            """),
            {"file_id": file_id, "now": front.at, "later": front.at + timedelta(days=30)},
        )
