"""Idempotency keys: one effect and one answer, however often and however close together."""

import asyncio

import httpx
import pytest

from gateway_requests import ACCOUNT, purchase
from gateway_world import FrontDoor

KEY = {"Idempotency-Key": "k-1"}


async def test_repeated_request_is_answered_as_the_first_was(acme: httpx.AsyncClient) -> None:
    first = await acme.post("/v1/accounts", json=ACCOUNT, headers=KEY)
    again = await acme.post("/v1/accounts", json=ACCOUNT, headers=KEY)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/accounts", ACCOUNT | {"account_id": "other"}),
        ("/v1/loyalty/transactions", purchase()),
    ],
    ids=["body", "address"],
)
async def test_key_of_another_request_is_refused(
    acme: httpx.AsyncClient, path: str, body: dict[str, object]
) -> None:
    await acme.post("/v1/accounts", json=ACCOUNT, headers=KEY)
    refused = await acme.post(path, json=body, headers=KEY)
    assert refused.status_code == 422
    assert refused.json()["type"] == "/problems/key-reused"


async def test_key_of_another_tenant_is_another_key(
    acme: httpx.AsyncClient, bolt: httpx.AsyncClient
) -> None:
    """R70."""
    await acme.post("/v1/accounts", json=ACCOUNT, headers=KEY)
    theirs = await bolt.post("/v1/accounts", json=ACCOUNT | {"amount_minor": 5}, headers=KEY)
    assert theirs.status_code == 201


async def test_refused_request_uses_up_no_key(acme: httpx.AsyncClient) -> None:
    wrong = ACCOUNT | {"account_id": "acme-1"}
    assert (await acme.post("/v1/accounts", json=wrong, headers=KEY)).status_code == 409
    assert (await acme.post("/v1/accounts", json=ACCOUNT, headers=KEY)).status_code == 201


async def test_twenty_at_once_have_one_effect_and_one_answer(
    front: FrontDoor, acme: httpx.AsyncClient
) -> None:
    """R46 at the front door."""
    answers = await asyncio.gather(
        *(acme.post("/v1/accounts", json=ACCOUNT, headers=KEY) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1


async def test_what_fails_before_its_commit_leaves_nothing_and_may_be_sent_again(
    front: FrontDoor, acme: httpx.AsyncClient
) -> None:
    """Nothing half done: neither account, nor work, nor key."""
    await front.break_next_commit()
    failed = await acme.post("/v1/accounts", json=ACCOUNT, headers=KEY)
    assert failed.status_code == 503
    assert failed.headers["retry-after"] == "5"
    assert await front.rows("SELECT 1 FROM fleet.idempotency") == []
    assert (await acme.get("/v1/accounts/a-9")).status_code == 404
    done = await acme.post("/v1/accounts", json=ACCOUNT, headers=KEY)
    assert done.status_code == 201
    assert "idempotency-replayed" not in done.headers


async def test_answers_of_long_ago_are_forgotten(front: FrontDoor, acme: httpx.AsyncClient) -> None:
    await acme.post("/v1/accounts", json=ACCOUNT, headers=KEY)
    await front.prune_at(hours=25)
    assert await front.rows("SELECT 1 FROM fleet.idempotency") == []
