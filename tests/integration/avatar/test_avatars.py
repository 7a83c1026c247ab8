"""Uploads against a real database: drawn once, announced once, or refused with a reason."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from billfleet_contracts import AvatarReady, AvatarRefused, Event, ObjectStored, decode, wrap
from billfleet_db import Database, avatars
from billfleet_db.customers import Customer, upsert_customers
from billfleet_db.tenants import Tenant, ensure_tenant
from billfleet_workers.adapters.memory_objects import MemoryObjectStore
from billfleet_workers.handlers.avatar import AvatarHandler, AvatarStores, PictureLimits
from billfleet_workers.runtime.clock import ManualClock
from billfleet_workers.runtime.errors import Permanent
from billfleet_workers.runtime.handling import Finished, Work
from pictures import bomb, picture
from rebill_world import CountingMetrics

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = "avatars/acme/c1/u1"


class World:
    def __init__(self, database: Database) -> None:
        self.database = database
        clock = ManualClock(NOW)
        self.uploads = MemoryObjectStore(clock)
        self.files = MemoryObjectStore(clock)
        self.handler = AvatarHandler(
            database,
            AvatarStores(self.uploads, self.files),
            clock,
            CountingMetrics(),
            PictureLimits(bytes_max=50_000, pixels_max=1_000_000),
        )

    async def upload(self, body: bytes, key: str = KEY, **metadata: str) -> None:
        await self.uploads.put(key, body, content_type="image/jpeg", metadata=metadata)

    async def arrived(self, key: str = KEY, tenant: str = "acme", **changes: Any) -> Finished:
        stored = ObjectStored(bucket="b-uploads", key=key, bytes_count=1, **changes)
        envelope = wrap(stored, tenant=tenant, source="/aws/s3/b", now=NOW)
        return await self.handler.handle(Work(envelope, "m", 1, NOW, "t"))

    async def announced(self) -> list[Event]:
        async with self.database.transaction() as connection:
            rows = await connection.execute(text("SELECT body FROM fleet.outbox"))
            return [decode(row.body).data for row in rows]


@pytest.fixture
async def world(database: Database) -> World:
    async with database.transaction() as connection:
        await ensure_tenant(connection, Tenant("acme", "Acme", "EUR"))
        await ensure_tenant(connection, Tenant("bolt", "Bolt", "EUR"))
        await upsert_customers(connection, [Customer("acme", "c1", "Ada")])
    return World(database)


async def test_picture_is_stored_in_the_sizes_asked_for_and_announced(world: World) -> None:
    await world.upload(picture(), sizes="128,32")
    await world.arrived()
    [ready] = await world.announced()
    assert isinstance(ready, AvatarReady)
    assert [image.size_px for image in ready.images] == [32, 128]
    for image in ready.images:
        assert image.object_key == f"avatars/acme/2026/03/c1-u1-{image.size_px}.jpg"
        head = await world.files.head(image.object_key)
        assert (head.content_type, head.bytes_count) == ("image/jpeg", image.bytes_count)
    async with world.database.transaction() as connection:
        latest = await avatars.latest(connection, "acme", "c1")
    assert latest is not None
    assert latest.upload_id == "u1"


async def test_upload_that_is_announced_twice_is_done_once(world: World) -> None:
    await world.upload(picture())
    await world.arrived()
    assert (await world.arrived()).note == {"already_done": 1}
    assert len(await world.announced()) == 1


@pytest.mark.parametrize("asked", ["", "nonsense", "0,-5,999999", "64" * 50])
async def test_sizes_that_make_no_sense_are_the_usual_ones(world: World, asked: str) -> None:
    await world.upload(picture(), sizes=asked)
    await world.arrived()
    [ready] = await world.announced()
    assert isinstance(ready, AvatarReady)
    assert [image.size_px for image in ready.images] == [64, 256, 512]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"MZ this is a program", "not_a_picture"),
        (bomb(40_000, 40_000), "too_many_pixels"),
        (b"x" * 50_001, "too_large"),
        (picture("PNG", (500, 500))[:100], "damaged"),
    ],
    ids=["no picture", "bomb", "large", "damaged"],
)
async def test_bad_upload_is_refused_once_and_the_backend_is_told(
    world: World, body: bytes, reason: str
) -> None:
    await world.upload(body)
    await world.arrived()
    await world.arrived()
    assert await world.announced() == [
        AvatarRefused(customer_id="c1", upload_id="u1", reason=reason)
    ]
    assert [entry async for entry in world.files.list("")] == []


async def test_upload_for_a_customer_of_another_tenant_is_refused(world: World) -> None:
    """R70."""
    await world.upload(picture(), "avatars/bolt/c1/u1")
    await world.arrived("avatars/bolt/c1/u1", "bolt")
    [refused] = await world.announced()
    assert isinstance(refused, AvatarRefused)
    assert refused.reason == "unknown_customer"


@pytest.mark.parametrize(
    "key", ["avatars/bolt/c1/u1", "other/acme/c1/u1", "avatars/acme/u1", "avatars/acme/c 1/u1"]
)
async def test_key_that_is_no_avatar_of_the_tenant_is_poison(world: World, key: str) -> None:
    with pytest.raises(Permanent, match="avatars/<tenant>"):
        await world.arrived(key)


async def test_object_that_is_not_there_is_poison_and_a_test_notice_is_not(world: World) -> None:
    with pytest.raises(Permanent, match="not there"):
        await world.arrived()
    assert (await world.arrived("-", "amazon-s3", notice="test")).note == {"test": 1}
