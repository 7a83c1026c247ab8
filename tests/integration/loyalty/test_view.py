"""R69: the table that front ends read and PostgreSQL say the same, item by item."""

import random
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from billfleet_contracts import Expiry, ProjectTransactions, decode
from billfleet_ops.clients import Clients
from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.dynamodb_view import DynamoTransactionView
from billfleet_workers.adapters.memory_audit import MemoryAuditTrail
from billfleet_workers.adapters.view_items import item_of
from billfleet_workers.handlers.loyalty_view import LoyaltyViewHandler, RebuildReport, rebuild
from billfleet_workers.runtime.clock import SystemClock
from billfleet_workers.runtime.errors import Permanent
from loyalty_world import DAY, PLAIN, START, World
from rebill_world import CountingMetrics
from view_examples import an_entry, items_in

RETAIN = timedelta(days=730)
Items = dict[str, Mapping[str, Any]]


class ViewedWorld:
    """A world of loyalty, and the table beside it."""

    def __init__(self, world: World, view: DynamoTransactionView, aws: Clients, stack: str) -> None:
        self.world, self.view, self.aws, self.stack = world, view, aws, stack
        self.audit = MemoryAuditTrail(world.clock)
        self.handler = LoyaltyViewHandler(
            world.database,
            view,
            self.audit,
            world.clock,
            CountingMetrics(),
            retain=RETAIN,
            audit_retain=30 * DAY,
        )

    async def live(self) -> None:
        """Purchases, a redemption, a refusal, a cancellation, stamps, an expiry; two tenants."""
        world = self.world
        bought = [await world.buy(60) for _ in range(4)]
        await world.redeem("mug")
        assert await world.handle(world.redeeming("nothing")) == "unknown_reward"
        await world.cancel(bought[3], 1000)
        await world.handle(world.stamping(7))

    async def requests(self) -> list[ProjectTransactions]:
        """What the outbox asks of the view, shuffled and every third one twice."""
        async with self.world.database.transaction() as connection:
            rows = await connection.scalars(text("SELECT body FROM fleet.outbox"))
            events = [decode(body).data for body in rows]
        asked = [event for event in events if isinstance(event, ProjectTransactions)]
        random.Random(5).shuffle(asked)
        return asked + asked[::3]

    async def project(self) -> None:
        """Let the worker bring all of it."""
        works = [self.world.work(event) for event in await self.requests()]
        for start in range(0, len(works), 4):
            await self.handler.handle_batch(works[start : start + 4])

    async def rebuild(self, *, dry_run: bool = False, tenant: str | None = None) -> RebuildReport:
        return await rebuild(
            self.world.database,
            self.view,
            self.world.clock,
            retain=RETAIN,
            tenant=tenant,
            dry_run=dry_run,
        )

    def items(self) -> Items:
        return items_in(self.aws, self.stack)

    def put(self, item: Mapping[str, Any]) -> None:
        """Behind the worker's back."""
        self.aws.dynamodb.put_item(TableName=f"{self.stack}-loyalty-transactions", Item=item)

    def drop(self, key: str) -> None:
        self.aws.dynamodb.delete_item(
            TableName=f"{self.stack}-loyalty-transactions", Key={"TransactionId": {"S": key}}
        )


@pytest.fixture
async def viewed(
    world: World, aws: Clients, aws_environment: dict[str, str], deployed_stack: str
) -> AsyncIterator[ViewedWorld]:
    clients = AwsClients(
        region=aws_environment["AWS_REGION"], endpoint_url=aws_environment["AWS_ENDPOINT_URL"]
    )
    view = await DynamoTransactionView.open(clients, stack=deployed_stack, clock=SystemClock())
    await world.seed()
    yield ViewedWorld(world, view, aws, deployed_stack)
    await view.close()


async def test_what_the_outbox_asked_for_in_any_order_is_what_a_rebuild_would_write(
    viewed: ViewedWorld,
) -> None:
    """R69."""
    await viewed.live()
    await viewed.project()
    brought = viewed.items()
    types = {item["TransactionType"]["S"] for item in brought.values()}
    assert types == {"POINTS_ADDITION", "REWARD_REDEMPTION", "CANCELLATION", "STAMP_ISSUANCE"}
    assert (await viewed.rebuild(dry_run=True)).differences == {}
    for key in brought:
        viewed.drop(key)
    report = await viewed.rebuild()
    assert report.differences == {"missing": len(brought)}
    assert viewed.items() == brought


async def test_a_rebuild_mends_what_was_dropped_corrupted_and_added(viewed: ViewedWorld) -> None:
    """R69: afterwards the table is the same, item by item."""
    await viewed.live()
    await viewed.project()
    whole = viewed.items()
    viewed.drop("acme/t1")
    viewed.put({**whole["acme/t2"], "Amount": {"N": "61"}})
    viewed.put({**whole["acme/t3"], "Planted": {"S": "by hand"}})
    viewed.put({key: value for key, value in whole["acme/t4"].items() if key != "StoreId"})
    viewed.put({"TransactionId": {"S": "no tenant in it"}})
    viewed.put(dict(item_of(an_entry(99))))
    viewed.put(dict(item_of(an_entry(1, tenant="other"))))
    broken = viewed.items()

    seen = await viewed.rebuild(dry_run=True)
    assert seen.differences == {"missing": 1, "different": 2, "stray": 3}
    assert "acme/t2: different" in seen.examples
    assert viewed.items() == broken

    assert (await viewed.rebuild()).differences == seen.differences
    assert viewed.items() == whole
    assert (await viewed.rebuild()).differences == {}


async def test_one_tenants_rebuild_leaves_the_others_alone(viewed: ViewedWorld) -> None:
    """R70."""
    await viewed.live()
    viewed.put(dict(item_of(an_entry(1, tenant="other"))))
    await viewed.rebuild(tenant="acme")
    assert "other/t1" in viewed.items()
    assert (await viewed.rebuild(tenant="acme")).differences == {}
    assert (await viewed.rebuild()).differences == {"stray": 1}


async def test_transactions_older_than_entries_are_kept_are_neither_written_nor_missed(
    viewed: ViewedWorld,
) -> None:
    """R69: what DynamoDB may have forgotten by its TTL is no difference."""
    await viewed.world.buy(10)
    requests = await viewed.requests()
    viewed.world.later(RETAIN + DAY)
    newer = await viewed.world.buy(20)
    [finished] = await viewed.handler.handle_batch([viewed.world.work(requests[0])])
    assert finished.note == {"entries": 0, "too_old": 1}
    assert (await viewed.rebuild()).differences == {"missing": 1}
    assert list(viewed.items()) == [f"acme/{newer}"]


async def test_expired_points_reach_the_table_like_anything_else(viewed: ViewedWorld) -> None:
    """R69."""
    world = viewed.world
    dying = PLAIN.model_copy(update={"expiry": Expiry(days=1)})
    await world.set_rules(dying, version=2, valid_from=START)
    gone = await world.buy(10)
    world.later(3 * DAY)
    await world.buy(10)
    await viewed.project()
    assert viewed.items()[f"acme/~expiry:{gone}"]["TransactionType"] == {"S": "EXPIRY"}
    assert (await viewed.rebuild()).differences == {}


async def test_an_event_of_another_worker_is_refused(viewed: ViewedWorld) -> None:
    with pytest.raises(Permanent):
        await viewed.handler.handle_batch([viewed.world.work(viewed.world.stamping())])


async def test_what_was_refused_is_told_to_the_audit_trail_once_and_then_forgotten(
    viewed: ViewedWorld,
) -> None:
    await viewed.live()
    for _ in range(2):
        await viewed.project()
    [entry] = await viewed.audit.latest("acme", since=START, limit=10)
    assert (entry.event, entry.reason, entry.subject) == (
        "loyalty_refused",
        "unknown_reward",
        "card",
    )
    viewed.world.later(31 * DAY)
    assert await viewed.audit.latest("acme", since=START, limit=10) == []
