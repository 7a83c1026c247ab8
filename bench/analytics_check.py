"""Whether the count of the analytics benchmark is right, said by two that took no part in it.

`analytics.py` calls it. DuckDB counts the raw Parquet files, and the traffic itself says what was
sent; each is compared with every bucket in the database.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import cast

import asyncpg
import duckdb

from analytics_traffic import Key

BUCKETS = """
    SELECT tenant_id, name, extract(epoch FROM hour_start)::bigint, brand_id, store_id, currency,
           extract(epoch FROM stored_hour)::bigint, local_day, events::bigint, amount_minor::bigint
    FROM analytics.buckets
"""
FILES = """
    SELECT tenant, name, CAST(epoch(date_trunc('hour', occurred_at)) AS bigint), brand_id, store_id,
           currency, CAST(epoch(date_trunc('hour', stored_at)) AS bigint),
           CAST(occurred_at AT TIME ZONE 'UTC' AS date), count(*),
           CAST(coalesce(sum(amount_minor), 0) AS bigint)
    FROM read_parquet(?, hive_partitioning = true) GROUP BY ALL
"""
Bucket = tuple[object, ...]


async def buckets(url: str) -> list[Bucket]:
    """What the database counted; every tenant of the benchmark lives in UTC."""
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(BUCKETS)]
    finally:
        await connection.close()


async def stored(url: str) -> int:
    """How many events have a row of their own, whatever the buckets say."""
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM analytics.events"))
    finally:
        await connection.close()


def of_files(folder: Path) -> list[Bucket]:
    """The same, counted by DuckDB."""
    duckdb.execute("SET TimeZone = 'UTC'")
    return duckdb.execute(FILES, [f"{folder}/raw/*/*/*.parquet"]).fetchall()


def differing(one: Iterable[Bucket], other: Iterable[Bucket]) -> int:
    """How many rows only one of them has."""
    return len(set(one) ^ set(other))


def differing_from(right: dict[Key, tuple[int, int]], counted: Iterable[Bucket]) -> int:
    """How many buckets, whenever they became known, count something else than was sent."""
    found: dict[Key, tuple[int, int]] = {}
    for *key, _, _, events, amount_minor in counted:
        assert isinstance(events, int), events
        assert isinstance(amount_minor, int), amount_minor
        where = cast("Key", tuple(key))
        times, sum_minor = found.get(where, (0, 0))
        found[where] = (times + events, sum_minor + amount_minor)
    return sum(right.get(key) != found.get(key) for key in right.keys() | found.keys())
