"""Webhooks against a real database: told once to who asked, tried again, logged, given up."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from billfleet_contracts import (
    AvatarReady,
    AvatarRefused,
    DeliverWebhook,
    Envelope,
    PaymentSucceeded,
    decode,
    wrap,
)
from billfleet_db import Database, webhook_deliveries, webhooks
from billfleet_db.tenants import Tenant, ensure_tenant
from billfleet_db.webhooks import Endpoint
from billfleet_workers.adapters.memory_webhooks import MemoryWebhookSender
from billfleet_workers.handlers.webhooks import DeliverHandler, FanOutHandler
from billfleet_workers.handlers.webhooks.schedule import TRIES_MAX
from billfleet_workers.runtime.clock import ManualClock
from billfleet_workers.runtime.errors import Permanent, Transient
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.ports.webhooks import TargetUnreachable, WebhookAnswer
from rebill_world import CountingMetrics

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
REFUSED = AvatarRefused(customer_id="c1", upload_id="u1", reason="not_a_picture")


def secret(letter: str) -> str:
    return "whsec_" + base64.b64encode(letter.encode() * 32).decode()


class World:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = ManualClock(START)
        self.sender = MemoryWebhookSender()
        self.fan_out = FanOutHandler(database, self.clock)
        self.deliver = DeliverHandler(
            database, self.sender, self.clock, CountingMetrics(), jitter=lambda: 0.0
        )

    async def endpoint(
        self, endpoint_id: str, *types: str, tenant: str = "acme", url: str = "https://a.test/h"
    ) -> None:
        async with self.database.transaction() as connection:
            await ensure_tenant(connection, Tenant(tenant, tenant, "EUR"))
            new = Endpoint(tenant, endpoint_id, url, "", types, created_at=self.clock.now())
            await webhooks.add(connection, new, secret=secret("a"))

    async def announce(self, *envelopes: Envelope) -> list[Any]:
        works = [Work(one, f"m{n}", 1, START, "t") for n, one in enumerate(envelopes)]
        answers: Sequence[Finished | Exception] = await self.fan_out.handle_batch(works)
        return [one.note["endpoints"] for one in answers if isinstance(one, Finished)]

    async def waiting(self) -> list[Envelope]:
        async with self.database.transaction() as connection:
            rows = await connection.execute(
                text("SELECT body FROM fleet.outbox ORDER BY outbox_id")
            )
            return [decode(row.body) for row in rows]

    async def try_once(self, envelope: Envelope) -> Finished:
        return await self.deliver.handle(Work(envelope, "m", 1, self.clock.now(), "t"))

    async def log(self) -> list[webhook_deliveries.Delivery]:
        async with self.database.transaction() as connection:
            return await webhook_deliveries.latest(connection, "acme")

    async def attempts(self, delivery_id: str) -> list[webhook_deliveries.Attempt]:
        async with self.database.transaction() as connection:
            return await webhook_deliveries.attempts_of(connection, "acme", delivery_id)

    async def known(self, endpoint_id: str) -> Endpoint:
        async with self.database.transaction() as connection:
            found = await webhooks.get(connection, "acme", endpoint_id)
        assert found is not None
        return found


def fact(event: Any = REFUSED, tenant: str = "acme", event_id: str = "e-1") -> Envelope:
    return wrap(event, tenant=tenant, source="/test", now=START, id=event_id)


@pytest.fixture
async def world(database: Database) -> World:
    return World(database)


async def test_announcement_goes_to_those_of_its_tenant_that_asked_for_it(world: World) -> None:
    """R70."""
    await world.endpoint("all")
    await world.endpoint("family", "billfleet.avatars.*")
    await world.endpoint("exact", AvatarRefused.TYPE)
    await world.endpoint("other", AvatarReady.TYPE, PaymentSucceeded.TYPE)
    await world.endpoint("bolt", tenant="bolt")
    assert await world.announce(fact()) == [3]
    waiting = [one.data for one in await world.waiting()]
    assert [one.endpoint_id for one in waiting if isinstance(one, DeliverWebhook)] == [
        "all",
        "exact",
        "family",
    ]


async def test_announcement_that_comes_again_is_told_once(world: World) -> None:
    await world.endpoint("ep")
    await world.announce(fact(), fact(event_id="e-2"))
    await world.announce(fact())
    assert len(await world.waiting()) == 2
    async with world.database.transaction() as connection:
        await connection.execute(text("UPDATE fleet.outbox SET sent_at = now()"))
        await connection.execute(text("DELETE FROM fleet.outbox"))
    await world.announce(fact())
    assert await world.waiting() == []


async def test_delivery_is_signed_with_all_secrets_that_are_valid(world: World) -> None:
    await world.endpoint("ep")
    known = await world.known("ep")
    async with world.database.transaction() as connection:
        await webhooks.rotate_secret(
            connection, known, secret("b"), now=START, old_until=START + timedelta(hours=1)
        )
    await world.announce(fact())
    [envelope] = await world.waiting()
    assert (await world.try_once(envelope)).note == {"delivered": 1, "attempt": 1}
    [posted] = world.sender.posted
    assert posted.headers["webhook-id"] == "e-1"
    assert len(posted.headers["webhook-signature"].split(" ")) == 2
    assert json.loads(posted.body)["data"]["reason"] == "not_a_picture"
    await world.clock.advance(3600)
    await world.announce(fact(event_id="e-2"))
    await world.try_once((await world.waiting())[1])
    assert len(world.sender.posted[1].headers["webhook-signature"].split(" ")) == 1


async def test_failed_try_is_logged_and_tried_again_with_the_same_id(world: World) -> None:
    await world.endpoint("ep")
    await world.announce(fact())
    [envelope] = await world.waiting()
    world.sender.answers = [WebhookAnswer(500, "oh no"), TargetUnreachable("no answer in time")]
    for wait_s in (5.0, 60.0):
        with pytest.raises(Transient) as caught:
            await world.try_once(envelope)
        assert caught.value.retry_after_s == wait_s
        await world.clock.advance(wait_s)
    assert (await world.known("ep")).failing_since == START
    await world.try_once(envelope)
    [log] = await world.log()
    assert (log.state, log.attempts_made, log.last_status) == ("delivered", 3, 204)
    tries = await world.attempts(log.delivery_id)
    assert [one.error for one in tries] == ["status 500", "no answer in time", None]
    assert tries[0].answer == "oh no"
    assert {one.headers["webhook-id"] for one in world.sender.posted} == {"e-1"}
    assert len({one.headers["webhook-timestamp"] for one in world.sender.posted}) == 3
    assert (await world.known("ep")).failing_since is None


async def test_delivery_that_arrived_is_not_sent_again(world: World) -> None:
    await world.endpoint("ep")
    await world.announce(fact())
    [envelope] = await world.waiting()
    await world.try_once(envelope)
    assert (await world.try_once(envelope)).note == {"already_delivered": 1}
    assert len(world.sender.posted) == 1


async def test_last_try_buries_it_and_a_replay_tries_once_more(world: World) -> None:
    await world.endpoint("ep")
    await world.announce(fact())
    [envelope] = await world.waiting()
    world.sender.answers = [WebhookAnswer(503, "") for _ in range(TRIES_MAX)]
    for _ in range(TRIES_MAX - 1):
        with pytest.raises(Transient):
            await world.try_once(envelope)
    with pytest.raises(Permanent, match=f"at attempt {TRIES_MAX}"):
        await world.try_once(envelope)
    [log] = await world.log()
    assert (log.state, log.next_attempt_at) == ("failed", None)
    assert (await world.try_once(envelope)).note == {"delivered": 1, "attempt": TRIES_MAX + 1}
    [log] = await world.log()
    assert log.state == "delivered"


async def test_address_that_leads_inwards_is_buried_at_once(world: World) -> None:
    await world.endpoint("ep", url="https://169.254.169.254/")
    await world.announce(fact())
    with pytest.raises(Permanent, match="private or reserved"):
        await world.try_once((await world.waiting())[0])
    assert world.sender.posted == []


async def test_endpoint_that_is_gone_is_switched_off_and_hears_no_more(world: World) -> None:
    await world.endpoint("ep")
    await world.announce(fact(), fact(event_id="e-2"))
    first, second = await world.waiting()
    world.sender.answers = [WebhookAnswer(410, "")]
    assert (await world.try_once(first)).note["switched_off"] == 1
    assert (await world.try_once(second)).note == {"cancelled": 1}
    assert {one.state for one in await world.log()} == {"cancelled"}
    assert await world.announce(fact(event_id="e-3")) == [0]


async def test_endpoint_that_fails_for_days_is_switched_off(world: World) -> None:
    await world.endpoint("ep")
    world.sender.answers = [WebhookAnswer(500, ""), WebhookAnswer(500, "")]
    await world.announce(fact(), fact(event_id="e-2"))
    first, second = await world.waiting()
    with pytest.raises(Transient):
        await world.try_once(first)
    await world.clock.advance(5 * 86400)
    assert (await world.try_once(second)).note["switched_off"] == 1
    assert (await world.known("ep")).disabled_reason == "it has failed since 2026-03-01"


async def test_old_log_is_pruned_behind_the_work(world: World) -> None:
    await world.endpoint("ep")
    await world.announce(fact())
    await world.try_once((await world.waiting())[0])
    await world.clock.advance(31 * 86400)
    await world.announce(fact(event_id="e-2"))
    assert [one.event_id for one in await world.log()] == ["e-2"]
