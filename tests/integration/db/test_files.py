"""Files that people were given: whose they are, until when, and taken back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from billfleet_db import Database, files
from billfleet_db.errors import IntegrityRefused
from billfleet_db.files import FILE_LIFE_DAYS, NewFile

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FILE_ID = UUID("00000000-0000-4000-8000-000000000001")
FILE = NewFile(
    tenant_id="acme",
    file_id=FILE_ID,
    kind="exports",
    object_key="exports/acme/2026/11/1-ledger.csv",
    file_name="ledger.csv",
    content_type="text/csv",
    bytes_count=4,
    sha256="0" * 64,
    created_at=NOW,
    expires_at=NOW + timedelta(days=FILE_LIFE_DAYS),
    owner={"account_id": "acc-1"},
)


@pytest.fixture
async def tenants(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(
            text(
                "INSERT INTO business.tenants (tenant_id, name, currency)"
                " VALUES ('acme', 'Acme', 'EUR'), ('bolt', 'Bolt', 'EUR')"
            )
        )


@pytest.mark.usefixtures("tenants")
async def test_a_file_is_recorded_once_and_found_by_its_tenant_alone(database: Database) -> None:
    """R83, R84."""
    async with database.transaction() as connection:
        assert await files.add(connection, FILE)
        assert not await files.add(connection, replace(FILE, file_name="other.csv"))
    async with database.transaction() as connection:
        found = await files.find(connection, "acme", FILE_ID)
        assert found is not None
        assert (found.file_name, found.owner) == ("ledger.csv", {"account_id": "acc-1"})
        assert await files.find(connection, "bolt", FILE_ID) is None


@pytest.mark.usefixtures("tenants")
async def test_a_file_is_available_until_it_expires_or_is_revoked(database: Database) -> None:
    """R84, R85."""
    async with database.transaction() as connection:
        await files.add(connection, FILE)
        found = await files.find(connection, "acme", FILE_ID)
        assert files.standing(found, FILE.expires_at - timedelta(seconds=1)) == "available"
        assert files.standing(found, FILE.expires_at) == "expired"
        assert await files.revoke(connection, "acme", FILE_ID, reason="sent by mistake", now=NOW)
        assert not await files.revoke(connection, "acme", FILE_ID, reason="again", now=NOW)
        assert not await files.revoke(connection, "bolt", FILE_ID, reason="not mine", now=NOW)
        found = await files.find(connection, "acme", FILE_ID)
        assert files.standing(found, NOW) == "revoked"
        assert files.standing(found, FILE.expires_at) == "revoked"
        assert found is not None
        assert found.revoked_reason == "sent by mistake"
    assert files.standing(None, NOW) == "missing"


@pytest.mark.usefixtures("tenants")
@pytest.mark.parametrize(
    ("wrong", "constraint"),
    [
        ({"object_key": "exports/bolt/2026/11/x"}, "ck_files_object_key"),
        ({"object_key": "bills/acme/2026/11/x"}, "ck_files_object_key"),
        ({"sha256": "0"}, "ck_files_sha256"),
        ({"expires_at": NOW}, "ck_files_expires_at"),
    ],
)
async def test_a_file_outside_its_tenants_prefix_or_without_a_digest_is_refused(
    database: Database, wrong: dict[str, Any], constraint: str
) -> None:
    """R88."""
    with pytest.raises(IntegrityRefused) as refused:
        async with database.transaction() as connection:
            await files.add(connection, replace(FILE, **wrong))
    assert refused.value.constraint == constraint
