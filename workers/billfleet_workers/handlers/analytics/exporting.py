"""Carries stored events to the object store, in the order in which they were stored.

`billfleet sweep analytics` runs it. One exporter works at a time, holding the mark; what it writes
is named by the first event in it, so an exporter that died between writing and committing is
followed by one that writes the same names again.
"""

import asyncio
import hashlib
import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Final

from billfleet_db import Database, analytics
from billfleet_db.analytics import RawEvent, RawFile
from billfleet_workers.handlers.analytics.parquet import CONTENT_TYPE, table_of, to_parquet
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.ports.metrics import Metrics
from billfleet_workers.runtime.ports.objects import ObjectStore

PAGE_EVENTS: Final = 20_000
WRITES_AT_ONCE: Final = 8
PREFIX: Final = "raw"
# Any UUID serves as a namespace as long as it never changes: ids of files depend on it.
_NAMESPACE: Final = uuid.UUID("b1f1ee70-0b11-4f1e-8e70-b111f1ee7004")


async def export_events(
    database: Database,
    objects: ObjectStore,
    clock: Clock,
    metrics: Metrics,
    *,
    page_events: int = PAGE_EVENTS,
) -> int:
    """Export all that is stored; returns how many events that were. 0 while another exports."""
    exported = 0
    while True:
        page = await _export_page(database, objects, clock, page_events)
        exported += page
        metrics.count("raw_events_exported", page)
        if page < page_events:
            return exported


async def _export_page(
    database: Database, objects: ObjectStore, clock: Clock, page_events: int
) -> int:
    async with transaction(database) as connection:
        await analytics.see_tenant(connection, analytics.ALL_TENANTS)
        mark = await analytics.raw_files.hold_mark(connection)
        if mark is None:
            return 0
        events = await analytics.raw_files.next_events(connection, mark, page_events)
        if not events:
            return 0
        files = await _write(objects, events)
        await analytics.raw_files.add(connection, files, now=clock.now())
        await analytics.raw_files.set_mark(connection, events[-1])
        return len(events)


async def _write(objects: ObjectStore, events: Sequence[RawEvent]) -> list[RawFile]:
    limit = asyncio.Semaphore(WRITES_AT_ONCE)

    async def write(place: tuple[str, date], group: Sequence[RawEvent]) -> RawFile:
        async with limit:
            key = object_key(*place, f"part-{group[0].event_no:016d}")
            return await write_file(objects, place, key, to_parquet(table_of(group)), len(group))

    ordered = sorted(events, key=_place)
    return list(
        await asyncio.gather(
            *(write(place, list(group)) for place, group in groupby(ordered, key=_place))
        )
    )


async def write_file(
    objects: ObjectStore, place: tuple[str, date], key: str, body: bytes, rows: int
) -> RawFile:
    """Write the file and say what the manifest should."""
    await objects.put(key, body, content_type=CONTENT_TYPE)
    return RawFile(
        file_id=uuid.uuid5(_NAMESPACE, key),
        tenant_id=place[0],
        day=place[1],
        object_key=key,
        rows=rows,
        bytes_count=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
    )


def object_key(tenant_id: str, day: date, name: str) -> str:
    """Where a raw file lies: partitions as Hive, DuckDB and Athena spell them."""
    return f"{PREFIX}/tenant={tenant_id}/day={day.isoformat()}/{name}.parquet"


def _place(event: RawEvent) -> tuple[str, date]:
    return event.tenant_id, utc_day(event.occurred_at)


def utc_day(at: datetime) -> date:
    """The day of a partition. UTC: a tenant that moves its clock moves no file."""
    return at.astimezone(UTC).date()
