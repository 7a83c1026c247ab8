"""Pages: each answers, says what it knows, escapes what others wrote."""

import re

import httpx
import pytest
from sqlalchemy import text

from billfleet_contracts import QUEUES
from billfleet_db import Database
from billfleet_db.loyalty import see_tenant
from billfleet_db.records import TIMES, newest
from billfleet_ops.console.pages.records import TABLES
from console_room import DLQ, ConsoleRoom
from console_words import words
from replay_room import body_of, buried

PAGES = [
    "/",
    "/queues/rebill",
    "/dead-letters",
    f"/dead-letters/{DLQ}",
    "/accounts",
    "/accounts/acme/A-1",
    "/cards",
    "/life",
    "/life?id=unknown",
    "/records",
    "/records/files",
    "/records/refusals",
    "/actions",
    "/enter",
]


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_answers_with_a_policy_that_lets_nothing_foreign_in(
    browser: httpx.AsyncClient, path: str
) -> None:
    answer = await browser.get(path)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    addresses = re.findall(r'(?:src|href|action|hx-[a-z]+|sse-connect)="([^"]*)"', answer.text)
    assert not [one for one in addresses if "//" in one]
    assert " style=" not in answer.text
    assert not re.search(r"<script(?![^>]*\bsrc=)", answer.text)


@pytest.mark.parametrize(
    "path",
    [
        "/queues/none",
        "/accounts/acme/none",
        "/cards/acme/none",
        "/records/none",
        "/actions/1",
        "/actions/plan-1",
        "/nowhere",
        "/live/queues/none",
    ],
)
async def test_what_is_not_there_is_said_in_words(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.get(path)
    assert answer.status_code == 404
    assert "There is no" in words(answer)


async def test_the_overview_lists_every_queue_and_the_dead_letters(
    room: ConsoleRoom, browser: httpx.AsyncClient
) -> None:
    room.bury(buried(body_of()))
    await room.watch.look()
    said = words(await browser.get("/"))
    assert all(name in said for name in QUEUES)
    assert "dead letters 1" in said
    assert "No process of the fleet has been heard" in said


async def test_what_cannot_be_asked_is_shown_and_what_was_known_stays(
    room: ConsoleRoom, browser: httpx.AsyncClient
) -> None:
    room.bury(buried(body_of()))
    await room.watch.look()
    room.letters.faults.take_away("gone")
    await room.watch.look()
    said = words(await browser.get("/"))
    assert "The queues can't be asked" in said
    assert "dead letters 1" in said


async def test_no_page_asks_aws_for_figures(room: ConsoleRoom, browser: httpx.AsyncClient) -> None:
    room.letters.faults.take_away("gone")
    for path in ("/", "/queues/rebill", "/dead-letters", f"/dead-letters/{DLQ}"):
        assert (await browser.get(path)).status_code == 200


async def test_a_dead_letter_is_shown_with_its_reason_its_body_and_its_verdict(
    room: ConsoleRoom, browser: httpx.AsyncClient
) -> None:
    message_id = room.bury(buried(body_of("A-1"), reason="<b>no such account</b>"))
    await room.look()
    listed = await browser.get(f"/dead-letters/{DLQ}?tenant=acme&where=accounts.account_id=A-1")
    assert message_id in listed.text
    answer = await browser.get(f"/dead-letters/{DLQ}/{message_id}")
    assert "<b>no such" not in answer.text
    said = words(answer)
    assert "<b>no such account</b>" in said
    assert "will-run" in said
    assert '"account_id": "A-1"' in said
    assert "This work was never done" in said or "this work was never done" in said


async def test_filters_are_those_of_the_command_and_a_wrong_one_is_said(
    room: ConsoleRoom, browser: httpx.AsyncClient
) -> None:
    room.bury(buried(body_of("A-1")))
    await room.look()
    for query, count in [
        ("type=rebill_accounts", 1),
        ("type=other", 0),
        ("containing=A-1", 1),
        ("older_than=1d", 1),
        ("younger_than=1h", 0),
        ("fingerprint=f00d", 1),
        ("where=accounts.account_id!=A-1", 0),
    ]:
        assert f"{count} match." in words(await browser.get(f"/dead-letters/{DLQ}?{query}")), query
        said = words(await browser.get(f"/dead-letters?{query}"))
        assert f"{count} of the messages that were looked at match." in said
    said = words(await browser.get(f"/dead-letters/{DLQ}?older_than=soon"))
    assert "Not a duration: soon" in said


async def test_looking_is_asked_for_by_a_form_and_hands_everything_back(
    room: ConsoleRoom, browser: httpx.AsyncClient
) -> None:
    room.bury(buried(body_of("A-1")))
    await room.watch.look()
    assert "Nobody has looked into it yet" in words(await browser.get(f"/dead-letters/{DLQ}"))
    answer = await browser.post(f"/dead-letters/{DLQ}/look", data={"limit": "first"})
    assert answer.status_code == 303
    await room.looks.ended(DLQ)
    assert "1 were looked at" in words(await browser.get(f"/dead-letters/{DLQ}"))
    assert room.letters.visible(f"memory://{DLQ}") == 1
    answer = await browser.post("/dead-letters/look", data={"back": "//evil.example/"})
    assert answer.headers["location"].startswith("/dead-letters?")


async def test_an_account_says_why_it_was_not_billed_and_which_dead_letter_names_it(
    room: ConsoleRoom, browser: httpx.AsyncClient
) -> None:
    message_id = room.bury(buried('{"broken": "A-1"}'))
    await room.look()
    found = await browser.get("/search", params={"q": "ada@example"})
    assert "/accounts/acme/A-1" in found.text
    assert "due, not billed" in words(found)
    answer = await browser.get("/accounts/acme/A-1")
    assert f"/dead-letters/{DLQ}/{message_id}" in answer.text
    assert "due and not billed" in words(answer)


async def test_a_search_for_what_is_no_account_looks_for_a_message(
    browser: httpx.AsyncClient,
) -> None:
    answer = await browser.get("/search", params={"q": "e-1 %_"})
    assert answer.headers["location"] == "/life?id=e-1%20%25_"
    said = words(await browser.get(answer.headers["location"]))
    assert "Nothing is known of this id" in said


async def test_a_foreign_host_or_origin_is_refused(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/", headers={"Host": "evil.example"})
    assert answer.status_code == 421
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}):
        answer = await browser.post("/dead-letters/look", headers=headers)
        assert answer.status_code == 403


@pytest.mark.parametrize("kind", TABLES)
async def test_every_kind_of_record_has_its_table_and_an_order_in_time(
    browser: httpx.AsyncClient, books: Database, kind: str
) -> None:
    found = await newest(books, TABLES[kind], tenant="acme", limit=5)
    assert found.exists
    assert set(found.columns) & set(TIMES)
    assert not [one for one in found.columns if "token" in one or "secret" in one]
    assert (await browser.get(f"/records/{kind}?tenant=acme")).status_code == 200


async def test_what_a_page_loads_may_be_kept_for_ever_and_nothing_else_is_served(
    browser: httpx.AsyncClient,
) -> None:
    loaded = re.findall(r'"(/static/[^"]+)"', (await browser.get("/")).text)
    assert len(loaded) == 5
    for path in loaded:
        answer = await browser.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert (await browser.get("/static/console.css?v=old")).headers["cache-control"] == "no-cache"
    for path in ("/static/none.css", "/static/htmx.LICENSE.txt", "/static/..%2fapp.py"):
        assert (await browser.get(path)).status_code == 404


async def test_a_card_is_found_by_its_customer_and_shows_its_balance(
    browser: httpx.AsyncClient, books: Database
) -> None:
    async with books.transaction() as connection:
        await see_tenant(connection, "acme")
        for table, columns, values in (
            ("business.brands", "brand_id, name", "'b', 'B'"),
            ("loyalty.programmes", "programme_id, brand_id, name", "'club', 'b', 'Club'"),
            (
                "loyalty.cards",
                "card_id, programme_id, customer_id, stamps",
                "'C-1', 'club', 'cus-1', 3",
            ),
        ):
            statement = f"INSERT INTO {table} (tenant_id, {columns}) VALUES ('acme', {values})"
            await connection.execute(text(statement))
    assert "/cards/acme/C-1" in (await browser.get("/search?q=Ada")).text
    said = words(await browser.get("/cards/acme/C-1"))
    assert "balance 0" in said
    assert "stamps 3" in said
    assert "/cards/acme/C-1" in (await browser.get("/accounts/acme/A-1")).text
