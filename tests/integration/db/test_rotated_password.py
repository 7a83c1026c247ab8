"""A database password that changes while a worker runs is taken up at its next connection."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from billfleet_db import Database
from billfleet_db.errors import DatabaseError


async def test_a_new_password_in_the_passfile_is_used_without_a_restart(
    superuser_database: Database,
    superuser_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passfile = tmp_path / "pgpass"
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    place = urlsplit(superuser_url)
    role = f"rotated_{place.path.strip('/').replace('-', '_')}"[:60]

    async def say(statement: str) -> None:
        async with superuser_database.transaction() as connection:
            await connection.execute(text(statement))

    def write(password: str) -> None:
        passfile.write_text(f"*:*:*:{role}:{password}\n")
        passfile.chmod(0o600)

    await say(f"CREATE ROLE {role} LOGIN PASSWORD 'one' IN ROLE billfleet_app")
    write("one")
    running = Database.connect(
        f"postgresql://{role}@{place.hostname}:{place.port}{place.path}", pool_size=2
    )
    try:
        async with running.transaction() as held:
            await say(f"ALTER ROLE {role} PASSWORD 'two'")
            await held.execute(text("SELECT 1"))
            with pytest.raises(DatabaseError):
                await running.ping()
            write("two")
            await running.ping()
    finally:
        await running.close()
        await say(f"DROP ROLE {role}")
