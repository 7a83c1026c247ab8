"""Files that people were given: where each lies, until when it may be opened, and by whose leave.

Called by the workers that write files (in the transaction that announces them), by the gateway
when a link is followed, and by commands that revoke. The bytes are the object store's; a file that
has expired or was revoked is refused here, whatever the store still holds.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

FILE_LIFE_DAYS: Final = 30
"""What people are given can be opened for so long; the bucket's lifecycle says the same."""

Standing = Literal["available", "expired", "revoked", "missing"]


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that was just written to the object store."""

    tenant_id: str
    file_id: UUID
    kind: str
    object_key: str
    file_name: str
    content_type: str
    bytes_count: int
    sha256: str
    created_at: datetime
    expires_at: datetime
    owner: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class File(NewFile):
    """A file as it is recorded."""

    revoked_at: datetime | None = None
    revoked_reason: str | None = None


_COLUMNS = """tenant_id, file_id, kind, object_key, file_name, content_type, bytes_count, sha256,
    created_at, expires_at, owner"""
_ADD = text(f"""
    INSERT INTO fleet.files ({_COLUMNS})
    VALUES (:tenant_id, :file_id, :kind, :object_key, :file_name, :content_type, :bytes_count,
            :sha256, :created_at, :expires_at, CAST(:owner AS jsonb))
    ON CONFLICT ON CONSTRAINT pk_files DO NOTHING
""")
_FIND = text(f"""
    SELECT {_COLUMNS}, revoked_at, revoked_reason
    FROM fleet.files WHERE tenant_id = :tenant_id AND file_id = :file_id
""")
_REVOKE = text("""
    UPDATE fleet.files SET revoked_at = :now, revoked_reason = :reason
    WHERE tenant_id = :tenant_id AND file_id = :file_id AND revoked_at IS NULL
""")


async def add(connection: AsyncConnection, file: NewFile) -> bool:
    """Record a file; False when the same file id is recorded already, which stays as it is."""
    values = {name: getattr(file, name) for name in NewFile.__dataclass_fields__}
    done = await connection.execute(_ADD, values | {"owner": json.dumps(dict(file.owner))})
    return done.rowcount == 1


async def find(connection: AsyncConnection, tenant_id: str, file_id: UUID) -> File | None:
    """The file of this id, if it is the tenant's."""
    found = await connection.execute(_FIND, {"tenant_id": tenant_id, "file_id": file_id})
    row = found.mappings().one_or_none()
    return File(**row) if row is not None else None


async def revoke(
    connection: AsyncConnection, tenant_id: str, file_id: UUID, *, reason: str, now: datetime
) -> bool:
    """Refuse the file from now on; False when there is none or it was revoked before."""
    values = {"tenant_id": tenant_id, "file_id": file_id, "reason": reason, "now": now}
    return (await connection.execute(_REVOKE, values)).rowcount == 1


def standing(file: File | None, now: datetime) -> Standing:
    """Whether a file may be opened now. Pure.

    `available` is answered with a presigned address, `expired` and `revoked` with 410, `missing`
    with 404. A revoked file stays revoked after it would have expired.
    """
    if file is None:
        return "missing"
    if file.revoked_at is not None:
        return "revoked"
    return "available" if now < file.expires_at else "expired"
