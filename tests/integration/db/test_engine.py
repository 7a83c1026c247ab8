import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billfleet_db import Database, migrate
from billfleet_db.errors import (
    DatabaseError,
    DatabaseMisconfigured,
    DatabaseUnavailable,
    IntegrityRefused,
    SerializationConflict,
)
from fixtures_postgres import Cluster


@asynccontextmanager
async def opened(url: str, **options: float) -> AsyncIterator[Database]:
    database = Database.connect(url, **options)  # type: ignore[arg-type]
    try:
        yield database
    finally:
        await database.close()


async def run(database: Database, statement: str) -> object:
    async with database.transaction() as connection:
        return await connection.scalar(text(statement))


async def test_a_restarted_postgresql_heals_by_itself(
    postgres_cluster: Cluster, database: Database
) -> None:
    await asyncio.gather(*(database.ping() for _ in range(5)))

    # Beside the loop, which hears of the ends of connections meanwhile.
    await asyncio.to_thread(postgres_cluster.stop)
    await asyncio.to_thread(postgres_cluster.start)

    await asyncio.gather(*(database.ping() for _ in range(10)))


async def test_connections_that_were_cut_in_the_pool_are_replaced_without_a_word(
    database: Database, superuser_database: Database
) -> None:
    await asyncio.gather(*(database.ping() for _ in range(3)))
    await run(
        superuser_database,
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
        " WHERE usename = 'billfleet_app'",
    )
    await asyncio.gather(*(database.ping() for _ in range(3)))


@contextmanager
def mute(pid: object) -> Iterator[None]:
    """The server's end of a connection neither answers nor ends: as behind a forgetful router."""
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_connection_that_has_fallen_silent_in_the_pool_is_replaced_without_a_word(
    database_url: str,
) -> None:
    silence = {"answer_grace_s": -29.9, "asked_after_idle_s": 0.0}
    async with opened(database_url, pool_size=1, **silence) as database:
        first = await run(database, "SELECT pg_backend_pid()")
        with mute(first):
            assert await run(database, "SELECT pg_backend_pid()") != first


async def test_a_connection_that_was_used_a_moment_ago_is_not_asked_whether_it_lives(
    database_url: str,
) -> None:
    """Three round trips before each transaction, to hear what the statement hears as well."""
    async with opened(database_url, pool_size=1, answer_grace_s=-29.9) as database:
        with mute(await run(database, "SELECT pg_backend_pid()")):
            with pytest.raises(DatabaseUnavailable):
                await database.ping()
            await database.ping()


async def test_a_stopped_postgresql_is_unavailable_until_it_is_back(
    postgres_cluster: Cluster, database: Database
) -> None:
    await database.ping()
    postgres_cluster.stop()
    with pytest.raises(DatabaseUnavailable):
        await database.ping()
    postgres_cluster.start()
    await database.ping()


async def test_an_answer_that_never_comes_is_unavailable_and_its_connection_is_dropped(
    database_url: str,
) -> None:
    async with opened(database_url, pool_size=1, answer_grace_s=-29.9) as database:
        before = await run(database, "SELECT pg_backend_pid()")
        with pytest.raises(DatabaseUnavailable, match="did not answer in time"):
            await run(database, "SELECT pg_sleep(30)")
        assert await run(database, "SELECT pg_backend_pid()") != before


async def test_a_transaction_cut_off_by_a_restart_is_unavailable_and_kept_nothing(
    postgres_cluster: Cluster, company: Database
) -> None:
    async def write_across_a_restart() -> None:
        async with company.transaction() as connection:
            await connection.execute(text("UPDATE billing.accounts SET amount_minor = 1"))
            postgres_cluster.stop()
            postgres_cluster.start()
            await connection.execute(text("SELECT 1"))

    with pytest.raises(DatabaseUnavailable):
        await write_across_a_restart()
    assert await run(company, "SELECT min(amount_minor) FROM billing.accounts") == 2985


async def test_a_commit_cut_off_by_a_restart_is_unavailable(
    postgres_cluster: Cluster, company: Database
) -> None:
    async def commit_after_a_restart() -> None:
        async with company.transaction() as connection:
            await connection.execute(text("UPDATE billing.accounts SET amount_minor = 1"))
            postgres_cluster.stop()
            postgres_cluster.start()

    with pytest.raises(DatabaseUnavailable):
        await commit_after_a_restart()
    await company.ping()


Change = Callable[[str, Cluster], str]
WRONG: list[tuple[str, Change, type[DatabaseError], str]] = [
    (
        "password",
        lambda url, c: url.replace(c.app_password, "s3cret-wrong"),
        DatabaseMisconfigured,
        "password authentication failed",
    ),
    (
        "login",
        lambda url, c: url.replace("billfleet_app", "nobody"),
        DatabaseMisconfigured,
        "password authentication failed",
    ),
    (
        "database",
        lambda url, c: url.rsplit("/", 1)[0] + "/nosuchdb",
        DatabaseMisconfigured,
        '"nosuchdb" does not exist',
    ),
    (
        "port",
        lambda url, c: url.replace(f":{c.port}", ":1"),
        DatabaseUnavailable,
        "cannot reach the database",
    ),
    (
        "host",
        lambda url, c: url.replace("127.0.0.1", "nosuchhost.invalid"),
        DatabaseUnavailable,
        "cannot reach the database",
    ),
    (
        "tls",
        lambda url, c: url + "?sslmode=require",
        DatabaseUnavailable,
        "SSL",
    ),
    (
        "sslmode",
        lambda url, c: url + "?sslmode=perhaps",
        DatabaseMisconfigured,
        "cannot be used",
    ),
]


@pytest.mark.parametrize(
    ("change", "kind", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
async def test_a_wrong_url_is_explained_without_its_password(
    postgres_cluster: Cluster,
    database_url: str,
    change: Change,
    kind: type[DatabaseError],
    words: str,
) -> None:
    async with opened(change(database_url, postgres_cluster)) as database:
        with pytest.raises(kind) as raised:
            await database.ping()
    said = str(raised.value)
    assert words in said
    assert database.shown_url in said
    assert postgres_cluster.app_password not in said
    assert "s3cret" not in said
    assert postgres_cluster.app_password not in repr(database.__dict__)


async def test_a_database_that_was_never_migrated_is_misconfigured(
    postgres_cluster: Cluster, empty_database_name: str
) -> None:
    async with opened(postgres_cluster.superuser_url(empty_database_name)) as database:
        with pytest.raises(DatabaseMisconfigured, match="does not exist"):
            await run(database, "SELECT 1 FROM billing.accounts")


async def test_a_statement_that_takes_too_long_is_unavailable(database_url: str) -> None:
    async with opened(database_url, statement_timeout_s=0.05) as database:
        with pytest.raises(DatabaseUnavailable, match="statement timeout"):
            await run(database, "SELECT pg_sleep(30)")
        await database.ping()


async def test_a_lock_that_takes_too_long_is_a_conflict(
    company: Database, database_url: str
) -> None:
    async with opened(database_url, lock_timeout_s=0.05) as other, company.transaction() as holder:
        await holder.execute(text("SELECT 1 FROM billing.accounts FOR UPDATE"))
        with pytest.raises(SerializationConflict, match="lock timeout"):
            await run(other, "SELECT 1 FROM billing.accounts FOR UPDATE")


async def test_a_deadlock_is_a_conflict_for_one_and_nothing_for_the_other(
    company: Database,
) -> None:
    """R44: what locking in one order avoids."""
    both_hold_one = asyncio.Barrier(2)

    async def lock(first: str, second: str) -> None:
        async with company.transaction() as connection:
            for account_id in (first, second):
                await connection.execute(
                    text(
                        "SELECT 1 FROM billing.accounts "
                        "WHERE tenant_id = 'acme' AND account_id = :id FOR UPDATE"
                    ),
                    {"id": account_id},
                )
                if account_id == first:
                    await both_hold_one.wait()

    results = await asyncio.gather(
        lock("acc-1", "acc-2"), lock("acc-2", "acc-1"), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == [
        "NoneType",
        "SerializationConflict",
    ]


async def test_two_serializable_writers_conflict(company: Database) -> None:
    async def read_then_write(connection: object, account_id: str) -> None:
        await connection.execute(  # type: ignore[attr-defined]
            text("SELECT sum(amount_minor) FROM billing.accounts")
        )
        await connection.execute(  # type: ignore[attr-defined]
            text("UPDATE billing.accounts SET amount_minor = 1 WHERE account_id = :id"),
            {"id": account_id},
        )

    async def both() -> None:
        async with (
            company.transaction("SERIALIZABLE") as one,
            company.transaction("SERIALIZABLE") as two,
        ):
            await read_then_write(one, "acc-1")
            await read_then_write(two, "acc-2")

    with pytest.raises(SerializationConflict):
        await both()
    assert await run(company, "SHOW transaction_isolation") == "read committed"


async def test_a_pool_that_is_used_up_is_unavailable(database_url: str) -> None:
    async with opened(database_url, pool_size=1, pool_timeout_s=0.05) as database:
        async with database.transaction():
            with pytest.raises(DatabaseUnavailable, match="became free"):
                await database.ping()
        await database.ping()


async def test_a_cancelled_transaction_gives_its_connection_back(database_url: str) -> None:
    async with opened(database_url, pool_size=1, pool_timeout_s=5) as database:
        begun = asyncio.Event()

        async def hang() -> None:
            async with database.transaction() as connection:
                await connection.execute(text("SELECT 1"))
                begun.set()
                await connection.execute(text("SELECT pg_sleep(30)"))

        task = asyncio.create_task(hang())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await database.ping()


async def test_sessions_carry_their_name_and_timeouts(database_url: str) -> None:
    async with opened(database_url) as database:
        assert await run(database, "SHOW application_name") == "billfleet"
        assert await run(database, "SHOW statement_timeout") == "30s"
        assert await run(database, "SHOW lock_timeout") == "10s"
        assert await run(database, "SHOW idle_in_transaction_session_timeout") == "1min"


async def test_an_exception_rolls_back_and_leaves_as_it_is(company: Database) -> None:
    async def fail() -> None:
        async with company.transaction() as connection:
            await connection.execute(text("UPDATE billing.accounts SET amount_minor = 1"))
            raise TimeoutError("not the database's")

    with pytest.raises(TimeoutError, match="not the database's"):
        await fail()
    assert await run(company, "SELECT min(amount_minor) FROM billing.accounts") == 2985


async def test_a_refusal_inside_a_savepoint_leaves_the_transaction_usable(
    company: Database,
) -> None:
    async with company.transaction() as connection:
        with pytest.raises(IntegrityRefused):
            async with connection.begin_nested():
                await connection.execute(text("UPDATE billing.accounts SET amount_minor = -1"))
        await connection.execute(text("UPDATE billing.accounts SET amount_minor = 7"))
    assert await run(company, "SELECT min(amount_minor) FROM billing.accounts") == 7


async def test_no_message_quotes_the_values_of_a_refused_row(company: Database) -> None:
    with pytest.raises(IntegrityRefused) as refused:
        await run(company, "UPDATE customer.customers SET tenant_id = 'secretive'")
    assert "secretive" not in str(refused.value)


async def test_a_defect_of_our_own_is_reported_without_bound_values(database: Database) -> None:
    with pytest.raises(DBAPIError) as raised:
        async with database.transaction() as connection:
            await connection.execute(text("SELECT CAST(:a AS text), 1/0"), {"a": "secretive"})
    assert "secretive" not in str(raised.value)


async def test_the_app_role_logs_in_with_the_password_it_was_given(
    postgres_cluster: Cluster, database_name: str, superuser_url: str
) -> None:
    try:
        await migrate.set_app_password(superuser_url, 'it\'s 100% "odd"')
        url = postgres_cluster.app_url(database_name)
        changed = url.replace(postgres_cluster.app_password, "it's%20100%25%20%22odd%22")
        async with opened(changed) as database:
            await database.ping()
    finally:
        await migrate.set_app_password(superuser_url, postgres_cluster.app_password)
