import asyncio

from billfleet_db import migrate
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
