"""What happened to a card stays written down, whoever asks."""

import pytest

from billfleet_db import Database
from loyalty_world import World


@pytest.mark.parametrize("table", ["programme_rules", "transactions", "movements"])
@pytest.mark.parametrize(
    "statement", ["DELETE FROM loyalty.{}", "TRUNCATE loyalty.{} CASCADE", "UPDATE loyalty.{} {}"]
)
async def test_history_is_refused_any_change_even_for_a_superuser_in_replica_mode(
    world: World, superuser_database: Database, table: str, statement: str
) -> None:
    """R37, for points."""
    await world.seed()
    await world.buy(5)
    spelled = statement.format(table, "SET tenant_id = tenant_id")
    async with superuser_database.transaction() as connection:
        await connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        with pytest.raises(Exception, match="is refused: its rows are never changed"):
            await connection.exec_driver_sql(spelled)
