"""Accounts over HTTP: created once, seen by their tenant alone, their ledger by pages."""

from typing import Any

import httpx
import pytest
from sqlalchemy import text

from billfleet_db import Database
from gateway_requests import ACCOUNT
from gateway_world import FrontDoor


async def test_created_account_is_answered_with_its_state_and_place(
    acme: httpx.AsyncClient,
) -> None:
    made = await acme.post("/v1/accounts", json=ACCOUNT)
    assert made.status_code == 201, made.text
    assert made.headers["location"] == "/v1/accounts/a-9"
    seen = await acme.get("/v1/accounts/a-9")
    assert seen.json() == made.json()
    assert seen.json()["state"] == "ACTIVE"
    assert seen.json()["next_billing_on"] == "2026-03-31"
    assert seen.json()["owed_minor"] == {}


async def test_account_without_a_date_is_billed_from_today_in_its_own_zone(
    acme: httpx.AsyncClient,
) -> None:
    """R5."""
    body = {key: value for key, value in ACCOUNT.items() if key != "first_billing_on"}
    made = await acme.post("/v1/accounts", json=body | {"time_zone": "Pacific/Kiritimati"})
    assert made.json()["next_billing_on"] == "2026-03-02"


async def test_first_period_is_as_long_as_the_others(acme: httpx.AsyncClient) -> None:
    """R1, R4: a first day beside the anchor would charge a whole price for a day or two."""
    short = {"first_billing_on": "2026-02-28", "anchor_day": 31}
    assert (await acme.post("/v1/accounts", json=ACCOUNT | short)).status_code == 201
    beside = {"account_id": "a-10", "first_billing_on": "2026-01-31", "anchor_day": 1}
    refused = await acme.post("/v1/accounts", json=ACCOUNT | beside)
    assert refused.status_code == 422
    assert "anchor_day" in refused.json()["detail"]


async def test_second_account_of_an_id_is_refused_and_changes_nothing(
    acme: httpx.AsyncClient,
) -> None:
    await acme.post("/v1/accounts", json=ACCOUNT)
    again = await acme.post("/v1/accounts", json=ACCOUNT | {"amount_minor": 1})
    assert again.status_code == 409
    assert again.headers["content-type"] == "application/problem+json"
    assert (await acme.get("/v1/accounts/a-9")).json()["amount_minor"] == 1999


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount_minor": -1},
        {"amount_minor": 19.99},
        {"currency": "XXQ"},
        {"time_zone": "Mars/Base"},
        {"customer": {"customer_id": "c9", "name": "Bcc: x\r\nTo: y"}},
        {"first_billing_on": 20260331},
        {"colour": "red"},
        {"plan_id": "none-such"},
        {"anchor_day": 15},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_account_that_breaks_the_schema_is_refused_with_the_field(
    acme: httpx.AsyncClient, wrong: dict[str, Any]
) -> None:
    """R14, R54."""
    refused = await acme.post("/v1/accounts", json=ACCOUNT | wrong)
    assert refused.status_code == 422, refused.text
    assert refused.json()["type"] == "/problems/invalid"


async def test_account_of_another_tenant_is_as_if_it_were_not_there(
    acme: httpx.AsyncClient, bolt: httpx.AsyncClient
) -> None:
    """R70."""
    assert (await bolt.get("/v1/accounts/bolt-1")).status_code == 200
    for path in ("/v1/accounts/bolt-1", "/v1/accounts/bolt-1/ledger", "/v1/cards/bolt-card"):
        answer = await acme.get(path)
        assert answer.status_code == 404
        nothing = await acme.get(path.replace("bolt", "none"))
        assert answer.json()["detail"] == nothing.json()["detail"]


async def test_query_without_a_condition_sees_only_the_named_tenant(
    front: FrontDoor, gateway_database: Database
) -> None:
    """R70: the second wall, behind every WHERE."""
    tables = ("billing.accounts", "customer.customers", "business.tenants", "loyalty.cards")
    for table in tables:
        async with front.door.of_tenant("acme") as connection:
            seen = await connection.scalars(text(f"SELECT DISTINCT tenant_id FROM {table}"))
            assert seen.all() == ["acme"], table
        async with gateway_database.transaction() as connection:
            unnamed = await connection.scalar(text(f"SELECT count(*) FROM {table}"))
            assert unnamed == 0, table
        async with front.door.of_tenant("*") as connection:
            assert await connection.scalar(text(f"SELECT count(*) FROM {table}")) == 0, table


async def test_ledger_is_read_page_by_page_to_its_end(
    front: FrontDoor, acme: httpx.AsyncClient
) -> None:
    await front.charge("acme", months=5)
    read: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await acme.get("/v1/accounts/acme-1/ledger", params=params)).json()
        read += [entry["period_start"] for entry in page["entries"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert read == [f"2026-0{month}-01" for month in range(1, 6)]
    owed = (await acme.get("/v1/accounts/acme-1")).json()["owed_minor"]
    assert owed == {"EUR": 5 * 2985}


async def test_cursor_of_another_list_or_of_nobody_is_refused(
    front: FrontDoor, acme: httpx.AsyncClient, bolt: httpx.AsyncClient
) -> None:
    await front.charge("bolt", months=3)
    page = await bolt.get("/v1/accounts/bolt-1/ledger", params={"limit": 1})
    stolen = page.json()["next"]
    for cursor in (stolen, "x", "", "AAAA", "é", "-" * 40, "MTIzNDU2Nzg5MTIz"):
        answer = await acme.get("/v1/accounts/acme-1/ledger", params={"cursor": cursor})
        assert answer.status_code == 400, cursor
        assert answer.json()["type"] == "/problems/bad-cursor"
