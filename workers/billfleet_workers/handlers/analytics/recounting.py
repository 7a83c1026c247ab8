"""Counts again from raw files, and says where the incremental count differs.

`billfleet analytics rebuild` runs it, also while events come in: what waits for its export is
counted from the database, in the very snapshot that the buckets and the manifest are read in.
Exact figures must be equal byte for byte (R76): both sides are spelt as the same lines.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC

from billfleet_db import Database, analytics
from billfleet_db.analytics import Bucket, BucketKey
from billfleet_workers.handlers.analytics.compacting import read_file
from billfleet_workers.handlers.analytics.parquet import from_parquet
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.ports.objects import ObjectStore

_KEYS = ("name", "hour_start", "brand_id", "store_id", "currency", "stored_hour", "local_day")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a tenant's count says, and what its raw files say; lines that only one side has."""

    tenant_id: str
    buckets: int
    events: int
    only_counted: Sequence[bytes]
    only_raw: Sequence[bytes]

    @property
    def is_equal(self) -> bool:
        """Whether both say the same."""
        return not self.only_counted and not self.only_raw


async def compare(database: Database, objects: ObjectStore, tenant_id: str) -> Comparison:
    """Compare the tenant's buckets with a recount of its raw files.

    Raises:
        Permanent: a raw file is not what was written.
    """
    async with transaction(database, "REPEATABLE READ") as connection:
        await analytics.see_tenant(connection, tenant_id)
        counted = await analytics.buckets.all_of(connection, tenant_id)
        files = await analytics.raw_files.live(connection, tenant_id=tenant_id)
        mark = await analytics.raw_files.mark(connection)
        waiting = await analytics.buckets.recount(connection, tenant_id, mark)
    raw = await recount(objects, tenant_id, files, waiting)
    ours, theirs = set(map(line, counted)), set(map(line, raw))
    return Comparison(
        tenant_id,
        buckets=len(counted),
        events=sum(bucket.events for bucket in counted),
        only_counted=sorted(ours - theirs),
        only_raw=sorted(theirs - ours),
    )


async def rebuild(database: Database, objects: ObjectStore, tenant_id: str) -> int:
    """Count anew from raw files and from what waits for its export; returns how many buckets.

    Intake waits meanwhile. The sketches are made anew by the next sweep.

    Raises:
        Permanent: a raw file is not what was written; nothing is changed.
    """
    async with transaction(database) as connection:
        await analytics.see_tenant(connection, tenant_id)
        await analytics.books.hold(connection)
        files = await analytics.raw_files.live(connection, tenant_id=tenant_id)
        mark = await analytics.raw_files.mark(connection)
        waiting = await analytics.buckets.recount(connection, tenant_id, mark)
        counted = await recount(objects, tenant_id, files, waiting)
        await analytics.buckets.replace_all(connection, tenant_id, counted)
    return len(counted)


async def recount(
    objects: ObjectStore,
    tenant_id: str,
    files: Sequence[analytics.RawFile],
    waiting: Sequence[Bucket] = (),
) -> list[Bucket]:
    """The buckets that these files and what waits say, sorted. Files are read one at a time."""
    events: Counter[BucketKey] = Counter()
    amounts: Counter[BucketKey] = Counter()
    days = {bucket.key: bucket.local_day for bucket in waiting}
    for bucket in waiting:
        events[bucket.key] += bucket.events
        amounts[bucket.key] += bucket.amount_minor
    for file in files:
        for part in _grouped(tenant_id, await read_file(objects, file)):
            events[part.key] += part.events
            amounts[part.key] += part.amount_minor
            days[part.key] = part.local_day
    return sorted(Bucket(key, days[key], events[key], amounts[key]) for key in events)


def line(bucket: Bucket) -> bytes:
    """A bucket as one line; equal lines are equal figures."""
    key = bucket.key
    spelt = (
        key.tenant_id,
        key.name,
        key.hour_start.astimezone(UTC).isoformat(),
        key.brand_id,
        key.store_id,
        key.currency,
        key.stored_hour.astimezone(UTC).isoformat(),
        bucket.local_day.isoformat(),
        str(bucket.events),
        str(bucket.amount_minor),
    )
    return "\t".join(spelt).encode()


def _grouped(tenant_id: str, body: bytes) -> Iterator[Bucket]:
    import pyarrow as pa
    import pyarrow.compute as pc

    table = from_parquet(body)
    table = table.append_column("stored_hour", pc.floor_temporal(table["stored_at"], unit="hour"))
    # A sum of 64-bit amounts may not fit 64 bits; a decimal's does.
    exact = pc.cast(table["amount_minor"], pa.decimal128(38, 0))
    table = table.set_column(table.schema.get_field_index("amount_minor"), "amount_minor", exact)
    grouped = table.group_by(list(_KEYS)).aggregate([([], "count_all"), ("amount_minor", "sum")])
    for row in grouped.to_pylist():
        key = BucketKey(tenant_id, *(row[name] for name in _KEYS[:-1]))
        amount_minor = int(row["amount_minor_sum"] or 0)
        yield Bucket(key, row["local_day"], row["count_all"], amount_minor)
