"""Work: kept when accepted, one piece however often it is asked for, and told to its end."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import Response
from sqlalchemy import text

from billfleet_contracts import decode
from billfleet_gateway import WorkRecord
from billfleet_gateway.credentials import Caller
from billfleet_gateway.problems import Problem
from billfleet_gateway.routes.work import stream_work
from gateway_requests import event, purchase
from gateway_world import START, FrontDoor
from loyalty_world import World as LoyaltyWorld


async def test_accepted_work_lies_in_the_outbox_as_its_queue_wants_it(
    front: FrontDoor, acme: httpx.AsyncClient
) -> None:
    """With the queue away, work is kept: the relay sends it when it can."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answer = await acme.post(
        "/v1/loyalty/transactions", json=purchase(), headers={"traceparent": trace}
    )
    assert answer.status_code == 202, answer.text
    work_id = answer.json()["work_id"]
    assert answer.headers["location"] == f"/v1/work/{work_id}"
    [row] = await front.rows("SELECT * FROM fleet.outbox")
    envelope = decode(row["body"])
    assert (row["event_id"], row["route_name"]) == (work_id, "loyalty.fifo")
    assert row["group_id"] == "acme:acme-card"
    assert (envelope.tenant, envelope.dedupekey) == ("acme", "loyalty:t-1")
    assert envelope.traceparent == trace


async def test_same_work_asked_for_twice_is_one_piece_of_work(
    front: FrontDoor, acme: httpx.AsyncClient
) -> None:
    one = await acme.post("/v1/loyalty/transactions", json=purchase())
    two = await acme.post("/v1/loyalty/transactions", json=purchase())
    assert one.json() == two.json()
    assert len(await front.rows("SELECT 1 FROM fleet.outbox")) == 1


async def test_id_of_other_work_is_refused(acme: httpx.AsyncClient) -> None:
    """R43, R72."""
    await acme.post("/v1/loyalty/transactions", json=purchase())
    other = await acme.post("/v1/loyalty/transactions", json=purchase() | {"amount_minor": 1})
    assert other.status_code == 409


async def test_same_ids_of_two_tenants_are_two_pieces_of_work(
    acme: httpx.AsyncClient, bolt: httpx.AsyncClient
) -> None:
    """R70."""
    ours = await acme.post("/v1/events", json={"events": [event(1)]})
    theirs = await bolt.post("/v1/events", json={"events": [event(1)]})
    assert ours.json()["work"] != theirs.json()["work"]
    [work_id] = theirs.json()["work"]
    assert (await acme.get(f"/v1/work/{work_id}")).status_code == 404
    assert (await acme.get(f"/v1/work/{work_id}/events")).status_code == 404
    assert (await bolt.get(f"/v1/work/{work_id}")).status_code == 200


async def test_batch_counts_each_event_once_and_names_its_work_in_order(
    front: FrontDoor, acme: httpx.AsyncClient
) -> None:
    """R71."""
    await acme.post("/v1/events", json={"events": [event(1)]})
    batch = {"events": [event(number) for number in (3, 1, 2, 3)]}
    answer = (await acme.post("/v1/events", json=batch)).json()
    assert (answer["accepted"], answer["known"]) == (2, 2)
    assert answer["work"][0] == answer["work"][3]
    assert len(set(answer["work"])) == 3
    assert len(await front.rows("SELECT 1 FROM fleet.outbox")) == 3


async def test_event_with_other_content_is_other_work_for_analytics_to_put_aside(
    acme: httpx.AsyncClient,
) -> None:
    """R72."""
    batch = {"events": [event(1), event(1) | {"name": "other"}]}
    answer = (await acme.post("/v1/events", json=batch)).json()
    assert (answer["accepted"], answer["known"]) == (2, 0)


@pytest.mark.parametrize("count", [0, 101])
async def test_batch_is_bounded(acme: httpx.AsyncClient, count: int) -> None:
    batch = {"events": [event(number) for number in range(count)]}
    assert (await acme.post("/v1/events", json=batch)).status_code == 422


async def test_work_for_a_card_or_account_that_is_not_there_is_not_accepted(
    front: FrontDoor, acme: httpx.AsyncClient
) -> None:
    """R55, R70: another tenant's is not there either."""
    theirs = await acme.post("/v1/loyalty/transactions", json=purchase() | {"card_id": "bolt-card"})
    assert theirs.status_code == 404
    bills = await acme.post("/v1/accounts/bolt-1/due-bills", json={"request_id": "r-1"})
    assert bills.status_code == 404
    assert await front.rows("SELECT 1 FROM fleet.outbox") == []


async def test_work_is_told_from_acceptance_to_its_end(
    front: FrontDoor, acme: httpx.AsyncClient
) -> None:
    body = {"events": [event(1)]}
    [work_id] = (await acme.post("/v1/events", json=body)).json()["work"]

    async def state() -> tuple[str, Any]:
        told = (await acme.get(f"/v1/work/{work_id}")).json()
        return told["state"], told["outcome"]

    assert await state() == ("accepted", None)
    await front.send_outbox()
    assert await state() == ("queued", None)
    key = await front.rows("SELECT dedupe_key FROM fleet.outbox")
    place = ("acme", "analytics", key[0]["dedupe_key"])
    front.records.known[place] = WorkRecord("working", None, "")
    assert await state() == ("working", None)
    front.records.is_away = True
    assert await state() == ("queued", None)
    front.records.is_away = False
    front.records.known[place] = WorkRecord("done", START, '{"counted":1}')
    assert await state() == ("done", {"counted": 1})


async def test_buried_work_is_told_as_failed_until_it_is_replayed(
    front: FrontDoor, acme: httpx.AsyncClient
) -> None:
    body = {"events": [event(1)]}
    [work_id] = (await acme.post("/v1/events", json=body)).json()["work"]
    await front.send_outbox()
    for outcome, note, kind, state, reason in (
        ("retry", "busy", "Transient", "queued", None),
        ("poison", "no such thing", "Permanent", "failed", "no such thing"),
        ("poison", "KeyError: 'x'", "KeyError", "failed", "it could not be done; operators know"),
        ("done", "{}", "", "done", None),
        ("duplicate", "{}", "", "done", None),
    ):
        front.later(timedelta(seconds=1))
        await front.delivered(work_id, outcome, note, kind)
        told = (await acme.get(f"/v1/work/{work_id}")).json()
        assert (told["state"], told["reason"]) == (state, reason), outcome


async def test_loyalty_work_is_told_by_what_is_on_the_card(
    front: FrontDoor, acme: httpx.AsyncClient
) -> None:
    """A refusal is an end with its reason, whatever the dedupe store still knows."""
    world = LoyaltyWorld(front.inside)
    sent = await acme.post("/v1/loyalty/transactions", json=purchase())
    reward = {
        "kind": "redemption",
        "card_id": "acme-card",
        "transaction_id": "t-2",
        "occurred_at": "2026-02-28T10:00:00Z",
        "reward_id": "mug",
    }
    refused = await acme.post("/v1/loyalty/transactions", json=reward)
    for row in await front.rows("SELECT body FROM fleet.outbox ORDER BY outbox_id"):
        envelope = decode(row["body"])
        work = world.work(envelope.data)
        await world.handler.handle_batch([type(work)(envelope, "m", 1, START, "t")])
    told = (await acme.get(f"/v1/work/{sent.json()['work_id']}")).json()
    assert (told["state"], told["outcome"]) == (
        "done",
        {"transaction_id": "t-1", "quantity": 29},
    )
    told = (await acme.get(f"/v1/work/{refused.json()['work_id']}")).json()
    assert (told["state"], told["reason"]) == ("refused", "unknown_reward")
    card = (await acme.get("/v1/cards/acme-card")).json()
    assert (card["spendable_points"], card["lots"][0]["transaction_id"]) == (29, "t-1")


async def test_stream_tells_each_change_and_ends_at_the_end(
    front: FrontDoor, acme: httpx.AsyncClient
) -> None:
    body = {"events": [event(1)]}
    [work_id] = (await acme.post("/v1/events", json=body)).json()["work"]
    looks = 0
    sleep = front.sleep

    async def meanwhile(seconds: float) -> None:
        nonlocal looks
        looks += 1
        await sleep(seconds)
        if looks == 2:
            await front.send_outbox()
        if looks == 4:
            await front.delivered(work_id, "done", '{"counted":1}', "")

    front.door.sleep = meanwhile
    told = await acme.get(f"/v1/work/{work_id}/events")
    assert told.headers["content-type"].startswith("text/event-stream")
    lines = told.text.replace("\r\n", "\n").split("\n")
    states = [json.loads(line[6:])["state"] for line in lines if line.startswith("data: ")]
    assert states == ["accepted", "queued", "done"]
    assert [line for line in lines if line.startswith("id: ")][-1] == "id: end"
    assert front.door.streams.total() == 0


async def test_told_end_is_not_told_again_to_who_reconnects(acme: httpx.AsyncClient) -> None:
    again = await acme.get("/v1/work/w-1/events", headers={"Last-Event-ID": "end"})
    assert again.status_code == 204


async def test_streams_are_bounded_in_time_and_number(
    front: FrontDoor, acme: httpx.AsyncClient
) -> None:
    [work_id] = (await acme.post("/v1/events", json={"events": [event(1)]})).json()["work"]
    told = await acme.get(f"/v1/work/{work_id}/events")
    assert told.text.count("event: work") == 1
    front.door.streams["bolt"] = front.door.options.streams_max
    refused = await acme.get(f"/v1/work/{work_id}/events")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")


async def test_a_stream_takes_its_place_before_it_begins_and_one_tenant_leaves_places_for_others(
    front: FrontDoor, acme: httpx.AsyncClient, bolt: httpx.AsyncClient
) -> None:
    front.with_options(streams_max=4)
    [ours] = (await acme.post("/v1/events", json={"events": [event(1)]})).json()["work"]
    [theirs] = (await bolt.post("/v1/events", json={"events": [event(1)]})).json()["work"]

    async def ask(tenant: str, work_id: str) -> Response:
        return await stream_work(work_id, Caller(tenant, "app", frozenset()), front.door)

    asked = [await ask("acme", ours) for _ in range(3)]
    with pytest.raises(Problem, match="streams"):
        await ask("acme", ours)
    asked.append(await ask("bolt", theirs))
    with pytest.raises(Problem, match="streams"):
        await ask("bolt", theirs)
    assert len(asked) == 4


async def test_work_of_long_ago_is_told_by_its_transfers(
    front: FrontDoor, acme: httpx.AsyncClient
) -> None:
    await front.charge("acme", months=2, work_id="sweep-1")
    told = (await acme.get("/v1/work/sweep-1")).json()
    assert (told["state"], told["outcome"]) == ("done", {"transfers": 2})


async def test_front_door_cannot_take_work_back(front: FrontDoor) -> None:
    """What it may do is the little that it does."""
    for statement in ("DELETE FROM fleet.outbox", "UPDATE billing.accounts SET amount_minor = 0"):
        with pytest.raises(Exception, match="permission denied"):
            async with front.door.of_tenant("acme") as connection:
                await connection.execute(text(statement))
