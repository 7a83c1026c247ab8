"""Who may come in: keys with scopes, rotated in flight, at their tenant's rate; tokens as well."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db import Database, api_keys
from billfleet_gateway.app import create_app
from billfleet_gateway.credentials import new_key
from billfleet_gateway.tokens import TokenCheck, TokenRules
from gateway_requests import purchase
from gateway_world import FrontDoor

PATH = "/v1/accounts/acme-1"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic YTpi",
        "Bearer",
        "Bearer nonsense",
        "Bearer bfk_" + "0" * 16 + "_" + "A" * 43,
    ],
    ids=str,
)
async def test_stranger_is_not_let_in_and_is_not_told_why(
    front: FrontDoor, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    async with front.client(None) as stranger:
        answer = await stranger.get(PATH, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["detail"] == "The request has no valid API key or token."


async def test_key_with_the_secret_of_another_opens_nothing(front: FrontDoor) -> None:
    ours, theirs = front.keys["acme"], front.keys["bolt"]
    mixed = ours[: len("bfk_") + 17] + theirs[len("bfk_") + 17 :]
    async with front.client(key=mixed) as caller:
        assert (await caller.get(PATH)).status_code == 401


async def test_key_may_do_what_its_scopes_say_and_no_more(front: FrontDoor) -> None:
    async with front.inside.transaction() as connection:
        key = await front.add_key(connection, "acme", ["loyalty:write"], name="till")
    async with front.client(key=key) as till:
        refused = await till.get(PATH)
        assert refused.status_code == 403
        assert "accounts:read" in refused.json()["detail"]
        assert (await till.post("/v1/loyalty/transactions", json=purchase())).status_code == 202


async def test_both_keys_of_a_name_work_while_it_is_rotated(front: FrontDoor) -> None:
    old = front.keys["acme"]
    async with front.inside.transaction() as connection:
        new = await front.add_key(connection, "acme", ["accounts:read"])
        [first, _] = sorted(
            await api_keys.of_tenant(connection, "acme"),
            key=lambda key: key.key_id not in old,
        )
        await api_keys.expire(connection, first, at=front.at + timedelta(hours=1))

    async def statuses() -> list[int]:
        answers = []
        for key in (old, new):
            async with front.client(key=key) as caller:
                answers.append((await caller.get(PATH)).status_code)
        return answers

    assert await statuses() == [200, 200]
    front.later(timedelta(hours=1))
    assert await statuses() == [401, 200]


async def test_revoked_key_works_no_longer_than_it_is_remembered(
    front: FrontDoor, acme: httpx.AsyncClient
) -> None:
    assert (await acme.get(PATH)).status_code == 200
    async with front.inside.transaction() as connection:
        assert len(await api_keys.revoke(connection, "acme", "test", now=front.at)) == 1
    front.later(timedelta(seconds=front.door.options.key_cache_s))
    assert (await acme.get(PATH)).status_code == 401


async def test_tenant_that_asks_too_fast_waits_and_others_do_not(front: FrontDoor) -> None:
    front.with_options(requests_per_s=1.0, burst=3)
    async with front.client("acme") as acme, front.client("bolt") as bolt:
        answers = [await acme.get(PATH) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[3].headers["retry-after"] == "1"
        assert (await bolt.get("/v1/accounts/bolt-1")).status_code == 200
        front.later(timedelta(seconds=1))
        assert (await acme.get(PATH)).status_code == 200


async def test_stranger_that_tries_keys_too_fast_waits(front: FrontDoor) -> None:
    front.with_options(strangers_per_s=1.0)
    async with front.client(None) as stranger:
        statuses = [(await stranger.get(PATH)).status_code for _ in range(5)]
    assert statuses == [401, 401, 401, 401, 429]


class CountedDatabase:
    """A database that counts its transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.count = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        self.count += 1
        async with self._database.transaction() as connection:
            yield connection


async def test_stranger_with_made_up_keys_is_sent_away_before_anything_is_looked_up(
    front: FrontDoor,
) -> None:
    front.with_options(strangers_per_s=1.0)
    database = CountedDatabase(front.door.database)
    front.door.database = database  # type: ignore[assignment]  # a door needs no more of it
    async with front.client("acme") as acme, front.client(None) as stranger:
        assert (await acme.get(PATH)).status_code == 200
        database.count = 0

        async def try_key() -> httpx.Response:
            return await stranger.get(PATH, headers={"Authorization": f"Bearer {new_key().shown}"})

        answers = [await try_key() for _ in range(8)]
        assert [answer.status_code for answer in answers] == [401] * 4 + [429] * 4
        assert database.count == 4
        assert "with no valid key" in answers[-1].json()["detail"]
        # Who is known goes on from the same address, also when the key is looked up anew.
        front.door.options = replace(front.door.options, key_cache_s=0.0)
        assert (await acme.get(PATH)).status_code == 200


Issue = Callable[..., str]


@pytest.fixture
def issuer(front: FrontDoor) -> tuple[Issue, list[dict[str, Any]]]:
    """Issues tokens as Cognito does, and the key sets that it publishes one after another."""
    secret = ec.generate_private_key(ec.SECP256R1())
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(secret.public_key()))
    published: list[dict[str, Any]] = [{"keys": [public | {"kid": "k1", "alg": "ES256"}]}]

    async def fetch() -> dict[str, Any]:
        if not published:
            raise ConnectionError("away")
        return published[0]

    rules = TokenRules("https://issuer.test", "billfleet")
    front.door.tokens = TokenCheck(rules, fetch, lambda: front.at_s)
    front.app = create_app(front.door)

    def issue(kid: str = "k1", **claims: Any) -> str:
        said: dict[str, Any] = {
            "iss": "https://issuer.test",
            "aud": "billfleet",
            "exp": 4_000_000_000,
            "sub": "user-1",
            "custom:tenant": "acme",
            "scope": "billfleet/accounts:read openid",
        }
        return jwt.encode(said | claims, secret, "ES256", headers={"kid": kid})

    return issue, published


async def test_token_opens_the_door_of_its_tenant_for_its_scopes(
    front: FrontDoor, issuer: tuple[Issue, list[dict[str, Any]]]
) -> None:
    issue, _ = issuer
    async with front.client(key=issue()) as caller:
        assert (await caller.get(PATH)).status_code == 200
        assert (await caller.get("/v1/accounts/bolt-1")).status_code == 404
        assert (await caller.get("/v1/cards/acme-card")).status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"exp": 1_000_000_000},
        {"iss": "https://other.test"},
        {"aud": "other"},
        {"custom:tenant": "*"},
        {"custom:tenant": None},
        {"kid": "k2"},
    ],
    ids=str,
)
async def test_token_that_does_not_hold_opens_nothing(
    front: FrontDoor, issuer: tuple[Issue, list[dict[str, Any]]], wrong: dict[str, Any]
) -> None:
    issue, _ = issuer
    async with front.client(key=issue(**wrong)) as caller:
        assert (await caller.get(PATH)).status_code == 401


async def test_token_signed_with_nothing_or_with_the_public_key_opens_nothing(
    front: FrontDoor, issuer: tuple[Issue, list[dict[str, Any]]]
) -> None:
    claims = {"iss": "https://issuer.test", "custom:tenant": "acme", "exp": 4_000_000_000}
    unsigned = jwt.encode(claims, "", "none", headers={"kid": "k1"})
    symmetric = jwt.encode(claims, "k" * 40, "HS256", headers={"kid": "k1"})
    for token in (unsigned, symmetric):
        async with front.client(key=token) as caller:
            assert (await caller.get(PATH)).status_code == 401


async def test_key_set_that_was_replaced_is_fetched_again_and_one_that_is_away_is_waited_for(
    front: FrontDoor, issuer: tuple[Issue, list[dict[str, Any]]]
) -> None:
    issue, published = issuer
    first = published.pop()
    async with front.client(key=issue()) as caller:
        away = await caller.get(PATH)
        assert (away.status_code, away.headers["retry-after"]) == (503, "5")
        published.append(first)
        front.later(timedelta(seconds=1))
        assert (await caller.get(PATH)).status_code == 200
    published[0] = {"keys": [first["keys"][0] | {"kid": "k2"}]}
    async with front.client(key=issue("k2")) as caller:
        assert (await caller.get(PATH)).status_code == 401
        front.later(timedelta(seconds=31))
        assert (await caller.get(PATH)).status_code == 200
