"""A message's whole life from one id, whichever of its ids that is."""

import httpx
import pytest

from billfleet_contracts import decode
from billfleet_db import Database, deliveries
from billfleet_db.ledger import post_transfers
from billfleet_workers.runtime.ports.dedupe import ClaimRequest, Completion
from console_room import DLQ, ConsoleRoom
from console_words import words
from ledger_examples import charge
from replay_room import START, body_of, buried


def ended(event_id: str, outcome: str, message_id: str = "m-9") -> deliveries.Delivery:
    return deliveries.Delivery(
        START,
        "rebill",
        message_id,
        event_id,
        "billfleet.billing.rebill_accounts.v1",
        "acme",
        "/sweep",
        "A-1",
        outcome,
        "a deadlock" if outcome == "retry" else '{"billed":1}',
        "Transient" if outcome == "retry" else "",
        2,
        12.0,
        "here:7:abc",
    )


@pytest.mark.parametrize("sought", ["event", "message"])
async def test_deliveries_claim_and_effects_are_found_from_any_id(
    room: ConsoleRoom, browser: httpx.AsyncClient, books: Database, sought: str
) -> None:
    event_id = "5f0e1d2c-0000-4000-8000-000000000001"
    async with books.transaction() as connection:
        await deliveries.add(connection, [ended(event_id, "retry"), ended(event_id, "done")])
        await post_transfers(connection, [charge(account_id="A-1", work_id=event_id)])
    key = "acme#rebill#A-1"
    await room.dedupe.claim([ClaimRequest(key, "hash", "token", 60)])
    await room.dedupe.complete([Completion(key, "token", 86_400, "billed=1")])
    said = words(await browser.get(f"/life?id={event_id if sought == 'event' else 'm-9'}"))
    assert "Retry on rebill, receive 2 Transient: a deadlock" in said
    assert "Done on rebill" in said
    assert "Recorded as done billed=1" in said
    assert "made by /sweep" in said
    assert "billing.transfers 1" in said


async def test_a_dead_letter_that_was_looked_at_is_part_of_its_life(
    room: ConsoleRoom, browser: httpx.AsyncClient
) -> None:
    body = body_of("A-1")
    room.bury(buried(body))
    await room.watch.look()
    event_id = decode(body).id
    unknown = await browser.get(f"/life?id={event_id}")
    assert "Nothing is known of this id" in words(unknown)
    assert "Look into the dead-letter queues too" in words(unknown)
    await room.look()
    said = words(await browser.get(f"/life?id={event_id}"))
    assert "Made by /tests" in said
    assert f"Rests in {DLQ} no such account" in said


async def test_a_stranger_s_words_are_shown_and_never_run(
    room: ConsoleRoom, browser: httpx.AsyncClient
) -> None:
    answer = await browser.get("/life", params={"id": "<script>alert(1)</script>"})
    assert "<script>alert" not in answer.text
    assert "<script>alert(1)</script>" in words(answer)
