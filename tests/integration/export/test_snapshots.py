"""A snapshot does not move, changes nothing, and tells time in UTC wherever the database stands."""

from sqlalchemy import text

from billfleet_db.snapshots import open_snapshot
from export_world import TENANT, ExportWorld

COUNT = "SELECT count(*) FROM billing.transfers"


async def test_two_queries_of_one_snapshot_see_the_same_rows(world: ExportWorld) -> None:
    """R80: the balance and the lines of a statement are two queries."""
    await world.post(2)
    async with open_snapshot(world.database, TENANT, timeout_s=60) as snapshot:
        (before,) = await snapshot.rows(COUNT)
        await world.post(3, prefix="later")
        (after,) = await snapshot.rows(COUNT)
    assert (before[0], after[0]) == (2, 2)


async def test_snapshot_is_for_reading_only(world: ExportWorld) -> None:
    """R80."""
    async with open_snapshot(world.database, TENANT, timeout_s=60) as snapshot:
        ((said,),) = await snapshot.rows("SHOW transaction_read_only")
    assert said == "on"


async def test_times_are_told_in_utc_wherever_the_database_stands(world: ExportWorld) -> None:
    await world.post(1)
    async with world.superuser.transaction() as connection:
        name = (await connection.execute(text("SELECT current_database()"))).scalar_one()
        await connection.exec_driver_sql(f"ALTER DATABASE \"{name}\" SET timezone = 'Asia/Tokyo'")
    await world.run(world.request(columns=["posted_at"]))
    assert world.only_object().body == b"posted_at\n2026-01-01 00:01:00+00\n"
