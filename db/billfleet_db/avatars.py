"""Avatars: what became of each picture that a customer uploaded.

The avatar worker records, the front door shows the latest. It knows no image.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Avatar:
    """How an upload ended; `images` are those of `AvatarReady`, in its words."""

    customer_id: str
    upload_id: str
    state: Literal["ready", "refused"]
    reason: str | None
    images: Sequence[dict[str, Any]]


_RECORD = text("""
    INSERT INTO customer.avatars
      (tenant_id, customer_id, upload_id, state, reason, images, ended_at)
    VALUES (:tenant_id, :customer_id, :upload_id, :state, :reason, CAST(:images AS jsonb), :now)
    ON CONFLICT DO NOTHING
    RETURNING upload_id
""")
_COLUMNS = "customer_id, upload_id, state, reason, CAST(images AS text) AS images"
_FIND = text(f"""
    SELECT {_COLUMNS} FROM customer.avatars
    WHERE tenant_id = :tenant_id AND customer_id = :customer_id AND upload_id = :upload_id
""")
_LATEST = text(f"""
    SELECT {_COLUMNS} FROM customer.avatars
    WHERE tenant_id = :tenant_id AND customer_id = :customer_id AND state = 'ready'
    ORDER BY ended_at DESC, upload_id LIMIT 1
""")


def upload_key(tenant_id: str, customer_id: str, upload_id: str) -> str:
    """Where in the uploads bucket the picture is put; its parts are read back from the key."""
    return f"avatars/{tenant_id}/{customer_id}/{upload_id}"


async def record(
    connection: AsyncConnection, tenant_id: str, avatar: Avatar, *, now: datetime
) -> bool:
    """Write down how the upload ended; False where that is written already."""
    values = {
        "tenant_id": tenant_id,
        "customer_id": avatar.customer_id,
        "upload_id": avatar.upload_id,
        "state": avatar.state,
        "reason": avatar.reason,
        "images": json.dumps(list(avatar.images)),
        "now": now,
    }
    return (await connection.execute(_RECORD, values)).one_or_none() is not None


async def find(
    connection: AsyncConnection, tenant_id: str, customer_id: str, upload_id: str
) -> Avatar | None:
    """How this upload ended; None where it has not."""
    values = {"tenant_id": tenant_id, "customer_id": customer_id, "upload_id": upload_id}
    return _avatar((await connection.execute(_FIND, values)).mappings().one_or_none())


async def latest(connection: AsyncConnection, tenant_id: str, customer_id: str) -> Avatar | None:
    """The customer's picture: the latest good one."""
    values = {"tenant_id": tenant_id, "customer_id": customer_id}
    return _avatar((await connection.execute(_LATEST, values)).mappings().one_or_none())


def _avatar(row: Mapping[Any, Any] | None) -> Avatar | None:
    if row is None:
        return None
    return Avatar(
        row["customer_id"],
        row["upload_id"],
        row["state"],
        row["reason"],
        json.loads(row["images"]),
    )
