"""The last steps of an export: object, manifest, fact; and a worker that sleeps between two."""

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import pytest

from billfleet_db import exports
from billfleet_db.exports import manifest_key
from billfleet_db.files import FILE_LIFE_DAYS
from billfleet_workers.adapters.memory_objects import MemoryObjectStore, MemoryUpload
from billfleet_workers.runtime.errors import Transient, Unavailable
from billfleet_workers.runtime.ports.objects import ObjectExists, ObjectHead
from export_world import EXPORT_ID, NOW, TENANT, ExportWorld


class SleepyStore(MemoryObjectStore):
    """The same objects, but the first to come to one of the last steps sleeps there."""

    def __init__(self, other: MemoryObjectStore, at: str) -> None:
        super().__init__(other.clock)
        self.objects, self.uploads = other.objects, other.uploads
        self.at = at
        self.asleep, self.awake = asyncio.Event(), asyncio.Event()

    async def sleep(self, at: str) -> bool:
        """Sleep if this is the step; whether it was."""
        if at == self.at:
            self.asleep.set()
            await self.awake.wait()
        return at == self.at

    async def begin_upload(
        self, key: str, *, content_type: str, metadata: Mapping[str, str] | None = None
    ) -> MemoryUpload:
        """An upload that may sleep."""
        await self.sleep("begin")
        begun = await super().begin_upload(key, content_type=content_type, metadata=metadata)
        return _SleepyUpload(self, begun)

    async def put(
        self,
        key: str,
        body: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
    ) -> None:
        """Put, and then perhaps sleep."""
        await super().put(
            key, body, content_type=content_type, metadata=metadata, if_absent=if_absent
        )
        await self.sleep("put")

    async def head(self, key: str) -> ObjectHead:
        """What was known before the sleep."""
        head = await super().head(key)
        await self.sleep("head")
        return head


class _SleepyUpload(MemoryUpload):
    def __init__(self, store: SleepyStore, begun: MemoryUpload) -> None:
        super().__init__(store, begun.key, begun.number)
        self._sleepy = store

    async def put_part(self, number: int, body: bytes | bytearray) -> None:
        await self._sleepy.sleep("part")
        assert self._sleepy.at != "begin", "nothing is read for a run that was lost"
        await super().put_part(number, body)

    async def complete(self, *, if_absent: bool = False) -> None:
        assert if_absent, "nobody's object is written over unseen"
        if await self._sleepy.sleep("complete"):
            raise ObjectExists(self.key)
        await super().complete(if_absent=if_absent)


class CutStore(MemoryObjectStore):
    """Says that each object is a byte longer than it was sent."""

    async def begin_upload(
        self, key: str, *, content_type: str, metadata: Mapping[str, str] | None = None
    ) -> MemoryUpload:
        """An upload that grows."""
        begun = await super().begin_upload(key, content_type=content_type, metadata=metadata)
        return _GrowingUpload(self, begun.key, begun.number)


class _GrowingUpload(MemoryUpload):
    async def put_part(self, number: int, body: bytes | bytearray) -> None:
        await super().put_part(number, bytes(body) + b"?")


async def test_manifest_lies_beside_the_object_and_says_what_the_database_says(
    world: ExportWorld,
) -> None:
    """R86: whoever has the bucket alone can check the file."""
    await world.post(2)
    await world.run(world.request())
    made = await world.export()
    beside = world.memory.objects[manifest_key(str(made.object_key))]
    assert json.loads(beside.body) == made.manifest
    assert beside.content_type == "application/json"
    assert json.loads(beside.body)["rows"] == 2


async def test_manifest_that_cannot_be_put_holds_the_export_back(world: ExportWorld) -> None:
    """R82, R86."""
    world.memory.faults.lose_answers("put")
    with pytest.raises(Unavailable):
        await world.run(world.request())
    assert await world.facts() == []
    assert (await world.export()).state == "requested"
    await world.run(world.request())
    assert (await world.export()).state == "ready"


@pytest.mark.parametrize("at", ["begin", "complete", "head", "put"])
async def test_worker_that_slept_through_its_lease_leaves_its_successors_file_alone(
    world: ExportWorld, at: str
) -> None:
    """R82, R83: also where the store says that there is an object, and that of no dead run."""
    sleepy = SleepyStore(world.memory, at)
    sleeping = asyncio.create_task(
        world.run(world.request(), handler=world.make_handler(objects=sleepy))
    )
    await sleepy.asleep.wait()
    async with world.superuser.transaction() as connection:
        await connection.exec_driver_sql(
            "UPDATE fleet.exports SET leased_until = '2000-01-01 00:00+00'"
        )
    await world.run(world.request(), handler=world.make_handler())
    published = dict(world.memory.objects)
    sleepy.awake.set()
    with pytest.raises(Transient):
        await sleeping
    assert world.memory.objects == published
    assert not world.memory.uploads
    assert (await world.export()).state == "ready"
    assert len(await world.facts()) == 1


async def test_wish_to_stop_is_heard_until_the_file_is_complete(world: ExportWorld) -> None:
    sleepy = SleepyStore(world.memory, "part")
    running = asyncio.create_task(
        world.run(world.request(), handler=world.make_handler(objects=sleepy))
    )
    await sleepy.asleep.wait()
    async with world.database.transaction() as connection:
        assert await exports.cancel(connection, TENANT, UUID(EXPORT_ID), now=NOW)
    sleepy.awake.set()
    assert (await running).note == {"state": "cancelled"}
    assert not world.memory.objects
    assert not world.memory.uploads


async def test_wish_to_stop_that_comes_after_the_last_byte_leaves_no_half_published_file(
    world: ExportWorld,
) -> None:
    sleepy = SleepyStore(world.memory, "head")
    running = asyncio.create_task(
        world.run(world.request(), handler=world.make_handler(objects=sleepy))
    )
    await sleepy.asleep.wait()
    async with world.database.transaction() as connection:
        assert await exports.cancel(connection, TENANT, UUID(EXPORT_ID), now=NOW)
    sleepy.awake.set()
    await running
    assert (await world.export()).state == "ready"
    assert len(world.memory.objects) == 2


async def test_life_of_a_file_begins_with_its_upload_as_the_store_counts_it(
    world: ExportWorld,
) -> None:
    """R85: the link never outlives the object."""
    sleepy = SleepyStore(world.memory, "part")
    running = asyncio.create_task(
        world.run(world.request(), handler=world.make_handler(objects=sleepy))
    )
    await sleepy.asleep.wait()
    await world.clock.advance(30)
    sleepy.awake.set()
    await running
    assert (await world.export()).expires_at == NOW + timedelta(days=FILE_LIFE_DAYS)


async def test_parts_that_a_dead_worker_left_are_swept_away(world: ExportWorld) -> None:
    """R82."""
    key = f"exports/acme/2026/11/{EXPORT_ID}-ledger-2026-11-21.csv"
    orphan = await world.memory.begin_upload(key, content_type="text/csv")
    await orphan.put_part(1, b"half of it")
    await world.run(world.request())
    assert not world.memory.uploads
    assert b"half of it" not in world.only_object().body


async def test_object_of_another_size_than_was_sent_is_never_announced(world: ExportWorld) -> None:
    """R82."""
    cut = CutStore(world.clock)
    with pytest.raises(Transient, match="bytes instead of"):
        await world.run(world.request(), handler=world.make_handler(objects=cut))
    assert await world.facts() == []
    assert (await world.export()).state == "requested"
