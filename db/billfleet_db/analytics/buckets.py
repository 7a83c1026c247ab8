"""Buckets: what was counted per hour of the tenant's wall clock, and reading it back.

`events.store` fills them. A reader names an `as_of`: rows of earlier hours count as they stand,
and the hour that `as_of` cuts is counted from its events, so the answer is exact and stays the same
for ever (R74). `recount` is the same from nothing but events, to compare (R76).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

Grain = Literal["hour", "day"]


@dataclass(frozen=True, slots=True, order=True)
class BucketKey:
    """One row: an hour of a name at a store, and the hour in which it became known."""

    tenant_id: str
    name: str
    hour_start: datetime
    brand_id: str
    store_id: str
    currency: str
    stored_hour: datetime


@dataclass(frozen=True, slots=True, order=True)
class Bucket:
    """What a row counts."""

    key: BucketKey
    local_day: date
    events: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Figure:
    """A count and a sum for one point of a series; `starts` is an hour's instant or a day."""

    starts: datetime | date
    name: str
    brand_id: str
    store_id: str
    currency: str
    events: int
    amount_minor: int


_KEY: Final = "tenant_id, name, hour_start, brand_id, store_id, currency"
_WITHIN: Final = """
      tenant_id = :tenant_id AND (name = :name OR CAST(:name AS text) IS NULL)
      AND local_day BETWEEN :first_day AND :last_day
      AND hour_start >= CAST(:first_day AS date) - interval '2 days'
      AND hour_start < CAST(:last_day AS date) + interval '3 days'
"""
_SERIES = """
    SELECT {starts} AS starts, name, brand_id, store_id, currency,
           CAST(sum(events) AS bigint) AS events, sum(amount_minor) AS amount_minor
    FROM (
      SELECT hour_start, local_day, name, brand_id, store_id, currency, events, amount_minor
      FROM analytics.buckets WHERE {within} AND stored_hour < :as_of_hour
      UNION ALL
      SELECT hour_start, local_day, name, brand_id, store_id, currency, 1,
             coalesce(amount_minor, 0)
      FROM analytics.events
      WHERE {within} AND stored_at >= :as_of_hour AND stored_at < :as_of
    ) AS parts
    GROUP BY {starts}, name, brand_id, store_id, currency
    ORDER BY {starts}, name, brand_id, store_id, currency
"""
_SERIES_BY = {
    grain: text(_SERIES.format(starts=column, within=_WITHIN))
    for grain, column in (("hour", "hour_start"), ("day", "local_day"))
}
_BUCKETS = text(f"""
    SELECT {_KEY}, stored_hour, local_day, events, amount_minor FROM analytics.buckets
    WHERE tenant_id = :tenant_id ORDER BY {_KEY}, stored_hour
""")
_RECOUNT = text(f"""
    SELECT {_KEY}, date_trunc('hour', stored_at, 'UTC') AS stored_hour, local_day,
           count(*) AS events, coalesce(sum(amount_minor), 0) AS amount_minor
    FROM analytics.events
    WHERE tenant_id = :tenant_id
      AND (xact, event_no) > (CAST(CAST(:xact AS text) AS xid8), CAST(:event_no AS bigint))
    GROUP BY {_KEY}, date_trunc('hour', stored_at, 'UTC'), local_day
    ORDER BY {_KEY}, stored_hour
""")
_COUNTED: Final = ("local_day", "events", "amount_minor")
_DELETE = text("DELETE FROM analytics.buckets WHERE tenant_id = :tenant_id")
_INSERT = text(f"""
    INSERT INTO analytics.buckets ({_KEY}, stored_hour, {", ".join(_COUNTED)})
    VALUES ({", ".join(f":{name}" for name in _KEY.split(", "))}, :stored_hour,
            {", ".join(f":{name}" for name in _COUNTED)})
""")
_NAMES = text("""
    SELECT DISTINCT name FROM analytics.buckets WHERE tenant_id = :tenant_id ORDER BY name
""")


async def series(
    connection: AsyncConnection,
    tenant_id: str,
    *,
    grain: Grain,
    first_day: date,
    last_day: date,
    as_of: datetime,
    name: str | None = None,
) -> list[Figure]:
    """Counts and sums of the days, as they were known at `as_of`."""
    values = {
        "tenant_id": tenant_id,
        "name": name,
        "first_day": first_day,
        "last_day": last_day,
        "as_of": as_of,
        "as_of_hour": as_of.replace(minute=0, second=0, microsecond=0),
    }
    rows = await connection.execute(_SERIES_BY[grain], values)
    return [Figure(**{**row, "amount_minor": int(row["amount_minor"])}) for row in rows.mappings()]


async def all_of(connection: AsyncConnection, tenant_id: str) -> list[Bucket]:
    """Every bucket of the tenant, sorted."""
    rows = await connection.execute(_BUCKETS, {"tenant_id": tenant_id})
    return [_bucket(*row) for row in rows]


async def recount(
    connection: AsyncConnection, tenant_id: str, after: tuple[str, int] = ("0", 0)
) -> list[Bucket]:
    """What the tenant's events say, or those after this mark: what the buckets should."""
    values = {"tenant_id": tenant_id, "xact": after[0], "event_no": after[1]}
    rows = await connection.execute(_RECOUNT, values)
    return [_bucket(*row) for row in rows]


async def replace_all(
    connection: AsyncConnection, tenant_id: str, buckets: Sequence[Bucket]
) -> None:
    """Let the tenant's buckets be these, and nothing else; their sketches are stale then."""
    await connection.execute(_DELETE, {"tenant_id": tenant_id})
    if buckets:
        rows = [
            {**asdict(one.key), **{name: getattr(one, name) for name in _COUNTED}}
            for one in buckets
        ]
        await connection.execute(_INSERT, rows)


async def names(connection: AsyncConnection, tenant_id: str) -> Sequence[str]:
    """Every name that the tenant has counted."""
    return list((await connection.execute(_NAMES, {"tenant_id": tenant_id})).scalars())


def _bucket(
    *row: object,
) -> Bucket:
    *key, local_day, events, amount_minor = row
    assert isinstance(local_day, date)  # noqa: S101 - what the statement selects
    assert isinstance(events, int)  # noqa: S101 - the same
    assert isinstance(amount_minor, Decimal)  # noqa: S101 - the same
    return Bucket(BucketKey(*key), local_day, events, int(amount_minor))  # type: ignore[arg-type] # the same
