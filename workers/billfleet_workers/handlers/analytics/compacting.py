"""Makes one file of a day's small ones, and removes what was replaced once nobody reads it.

`billfleet sweep analytics` runs it. The manifest decides: of two compactors at once, one replaces
all the files that it read and the other none. A merged file is named by what went into it, so the
loser never removes what the winner wrote.
"""

import hashlib
from datetime import date, timedelta
from typing import Final

from billfleet_db import Database, analytics
from billfleet_db.analytics import RawFile
from billfleet_workers.handlers.analytics.exporting import object_key, write_file
from billfleet_workers.handlers.analytics.parquet import from_parquet, merged, to_parquet
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Permanent
from billfleet_workers.runtime.ports.objects import ObjectMissing, ObjectStore

FILES_MIN: Final = 4
"""So many small files of a day are worth merging."""
SMALL_BYTES: Final = 16 * 1024 * 1024
FILES_MAX: Final = 256
"""Of one merge, so that it fits memory."""
PAGE_DAYS: Final = 100
READERS_GRACE: Final = timedelta(hours=1)
"""Whoever listed the files before they were replaced may still read them for so long."""


async def compact(database: Database, objects: ObjectStore, clock: Clock) -> int:
    """Merge every day that has many small files; returns how many files went into others."""
    async with transaction(database) as connection:
        await analytics.see_tenant(connection, analytics.ALL_TENANTS)
        crowded = await analytics.raw_files.crowded(
            connection, small_bytes=SMALL_BYTES, files_min=FILES_MIN, limit=PAGE_DAYS
        )
    done = 0
    for tenant_id, day in crowded:
        done += await compact_day(database, objects, clock, tenant_id, day)
    return done


async def compact_day(
    database: Database, objects: ObjectStore, clock: Clock, tenant_id: str, day: date
) -> int:
    """Merge one day's small files; 0 where another compactor was faster."""
    async with transaction(database) as connection:
        await analytics.see_tenant(connection, tenant_id)
        live = await analytics.raw_files.live(connection, tenant_id=tenant_id, day=day)
    small = [file for file in live if file.bytes_count < SMALL_BYTES][:FILES_MAX]
    if len(small) < FILES_MIN:
        return 0
    try:
        table = merged([from_parquet(await read_file(objects, file)) for file in small])
    except ObjectMissing:
        return 0  # replaced and removed since it was listed
    named = hashlib.sha256("\n".join(file.object_key for file in small).encode()).hexdigest()[:32]
    place, key = (tenant_id, day), object_key(tenant_id, day, f"merged-{named}")
    new = await write_file(objects, place, key, to_parquet(table), table.num_rows)
    async with transaction(database) as connection:
        await analytics.see_tenant(connection, tenant_id)
        if await analytics.raw_files.replace(connection, small, new, now=clock.now()):
            return len(small)
    await _remove_unless_live(database, objects, new)
    return 0


async def remove_replaced(database: Database, objects: ObjectStore, clock: Clock) -> int:
    """Delete the objects of files that were replaced long enough ago; returns how many."""
    async with transaction(database) as connection:
        await analytics.see_tenant(connection, analytics.ALL_TENANTS)
        old = await analytics.raw_files.replaced(
            connection, before=clock.now() - READERS_GRACE, limit=1000
        )
    for file in old:
        await objects.delete(file.object_key)
    async with transaction(database) as connection:
        await analytics.see_tenant(connection, analytics.ALL_TENANTS)
        await analytics.raw_files.mark_deleted(connection, old)
    return len(old)


async def read_file(objects: ObjectStore, file: RawFile) -> bytes:
    """The file's bytes, which are those that were written.

    Raises:
        Permanent: they are not.
        ObjectMissing: it is gone.
    """
    body = await objects.get(file.object_key)
    if hashlib.sha256(body).hexdigest() != file.sha256:
        raise Permanent(f"{file.object_key} is not what was written: its SHA-256 is another")
    return body


async def _remove_unless_live(database: Database, objects: ObjectStore, new: RawFile) -> None:
    """What was written in vain goes, unless the winner merged the same files into the same name."""
    async with transaction(database) as connection:
        await analytics.see_tenant(connection, new.tenant_id)
        live = await analytics.raw_files.live(connection, tenant_id=new.tenant_id, day=new.day)
    if new.object_key not in {file.object_key for file in live}:
        await objects.delete(new.object_key)
