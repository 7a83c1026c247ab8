import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from billfleet_db import migrate
from billfleet_db.errors import DatabaseError
from billfleet_db.scripts import script_location
from fixtures_postgres import Cluster


async def test_an_empty_database_is_migrated_and_a_second_run_changes_nothing(
    postgres_cluster: Cluster, empty_database_name: str
) -> None:
    url = postgres_cluster.superuser_url(empty_database_name)
    assert await migrate.current(url) is None
    known = sorted(path.name[:4] for path in (script_location() / "versions").glob("0*.py"))
    assert await migrate.pending(url) == known

    await migrate.upgrade(url)
    await migrate.upgrade(url)

    assert await migrate.current(url) == migrate.head()
    assert await migrate.pending(url) == []


async def test_two_migrators_at_once_both_succeed(
    postgres_cluster: Cluster, empty_database_name: str
) -> None:
    url = postgres_cluster.superuser_url(empty_database_name)

    await asyncio.gather(migrate.upgrade(url), migrate.upgrade(url))

    assert await migrate.current(url) == migrate.head()


GUIDE = Path(__file__).parents[3] / "ops" / "guides" / "upgrading.md"
BUILT_BEFORE = ("fleet.ix_outbox_unsent_group", "billing.ix_bills_refused")
WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'ix_bills'"


@asynccontextmanager
async def connected(*urls: str) -> AsyncIterator[list["asyncpg.Connection[Any]"]]:
    drivers = [await asyncpg.connect(url) for url in urls]
    try:
        yield drivers
    finally:
        for driver in drivers:
            await driver.close()


async def definitions(driver: "asyncpg.Connection[Any]") -> list[str | None]:
    asked = "SELECT pg_get_indexdef(to_regclass($1))"
    return [await driver.fetchval(asked, name) for name in BUILT_BEFORE]


async def test_indexes_that_were_built_before_as_the_guide_says_are_those_of_the_migration(
    postgres_cluster: Cluster, empty_database_name: str, superuser_url: str
) -> None:
    url = postgres_cluster.superuser_url(empty_database_name)
    await migrate.upgrade(url, "0010")
    statements = re.findall(r"CREATE INDEX CONCURRENTLY [^;]+;", GUIDE.read_text())
    assert len(statements) == len(BUILT_BEFORE)
    async with connected(url, superuser_url) as (driver, other):
        for statement in statements:
            await driver.execute(statement)
        await migrate.upgrade(url)
        assert await definitions(driver) == await definitions(other)
    assert await migrate.current(url) == migrate.head()


async def test_a_migration_that_is_killed_in_the_middle_leaves_nothing_and_runs_again(
    postgres_cluster: Cluster, empty_database_name: str
) -> None:
    url = postgres_cluster.superuser_url(empty_database_name)
    await migrate.upgrade(url, "0010")
    async with connected(url, url) as (driver, killer), driver.transaction():
        await driver.execute("LOCK TABLE billing.bills IN ROW EXCLUSIVE MODE")
        migrating = asyncio.create_task(migrate.upgrade(url))
        while not (waiting := await killer.fetch(WAITING)):
            assert not migrating.done()
        await killer.execute("SELECT pg_terminate_backend($1)", waiting[0]["pid"])
        with pytest.raises(DatabaseError):
            await migrating
        assert await migrate.current(url) == "0010"
        assert await definitions(killer) == [None, None]

    await migrate.upgrade(url)

    assert await migrate.current(url) == migrate.head()
