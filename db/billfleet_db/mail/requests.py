"""Rows of mail.requests: what became of each request for due bills.

The due-bills worker writes them under the account's lock, so that of any number of requests one
is accepted a window; the mail worker and whoever answers the one who asked read them. It knows no
queue and no DynamoDB.
"""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db.mail.mails import MailState

RequestState = Literal["accepted", "duplicate", "silent", "superseded", "refused"]


@dataclass(frozen=True, slots=True)
class Request:
    """A request and, where it has one, the mail that answers it."""

    tenant_id: str
    request_id: str
    account_id: str
    state: RequestState
    duplicate_of: str | None
    last_sent_at: datetime | None
    next_from: datetime | None
    reason: str | None
    mail_key: str | None
    work_id: str
    asked_at: datetime
    mail_id: UUID | None = None
    mail_state: MailState | None = None
    mail_reason: str | None = None
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewRequest:
    """A request to write down with its answer."""

    tenant_id: str
    request_id: str
    account_id: str
    state: RequestState
    work_id: str
    asked_at: datetime
    duplicate_of: str | None = None
    last_sent_at: datetime | None = None
    next_from: datetime | None = None
    reason: str | None = None
    mail_key: str | None = None


_NEW = [column.name for column in fields(NewRequest)]
_ADD = text(f"""
    INSERT INTO mail.requests ({", ".join(_NEW)}) VALUES ({", ".join(f":{name}" for name in _NEW)})
    ON CONFLICT (tenant_id, request_id) DO NOTHING
""")
_WITH_MAIL = f"""
    SELECT {", ".join(f"r.{name}" for name in _NEW)}, m.mail_id, m.state AS mail_state,
           m.reason AS mail_reason, m.sent_at
    FROM mail.requests r
    LEFT JOIN mail.mails m ON m.tenant_id = r.tenant_id AND m.mail_key = r.mail_key
"""
_GET = text(f"{_WITH_MAIL} WHERE r.tenant_id = :tenant_id AND r.request_id = :request_id")
# A duplicate answers nothing by itself, so it never stands in anybody's way.
_STANDING = text(f"""
    {_WITH_MAIL}
    WHERE r.tenant_id = :tenant_id AND r.account_id = :account_id
      AND r.state IN ('accepted', 'silent') AND r.asked_at > :since
    ORDER BY r.asked_at DESC, r.request_id LIMIT 1
""")
_LOCK = text("""
    SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))
""")
_SUPERSEDE = text("""
    UPDATE mail.requests SET state = 'superseded', duplicate_of = :by
    WHERE tenant_id = :tenant_id AND request_id = :request_id AND state = 'accepted'
""")
_NEWEST = text(f"""
    {_WITH_MAIL}
    WHERE (CAST(:tenant_id AS text) IS NULL OR r.tenant_id = :tenant_id)
      AND (CAST(:account_id AS text) IS NULL OR r.account_id = :account_id)
    ORDER BY r.asked_at DESC, r.request_id LIMIT :limit
""")


async def lock_account(connection: AsyncConnection, tenant_id: str, account_id: str) -> None:
    """Be the only one to decide about this account's mails until the transaction ends."""
    await connection.execute(_LOCK, {"what": f"due-bills\n{tenant_id}\n{account_id}"})


async def add(connection: AsyncConnection, request: NewRequest) -> bool:
    """Write the request down; False when it was written before, and nothing is changed."""
    values = {name: getattr(request, name) for name in _NEW}
    return (await connection.execute(_ADD, values)).rowcount == 1


async def get(connection: AsyncConnection, tenant_id: str, request_id: str) -> Request | None:
    """The request and the mail that answers it."""
    values = {"tenant_id": tenant_id, "request_id": request_id}
    row = (await connection.execute(_GET, values)).mappings().first()
    return Request(**row) if row else None


async def standing(
    connection: AsyncConnection, tenant_id: str, account_id: str, *, since: datetime
) -> Request | None:
    """The latest request of the account that was answered with a mail, or with silence."""
    values = {"tenant_id": tenant_id, "account_id": account_id, "since": since}
    row = (await connection.execute(_STANDING, values)).mappings().first()
    return Request(**row) if row else None


async def supersede(
    connection: AsyncConnection, tenant_id: str, request_id: str, *, by: str
) -> bool:
    """Let a later request go ahead of one whose mail has not been begun."""
    done = await connection.execute(
        _SUPERSEDE, {"tenant_id": tenant_id, "request_id": request_id, "by": by}
    )
    return done.rowcount == 1


async def newest(
    connection: AsyncConnection,
    *,
    tenant_id: str | None = None,
    account_id: str | None = None,
    limit: int = 50,
) -> list[Request]:
    """The latest requests first."""
    values = {"tenant_id": tenant_id, "account_id": account_id, "limit": limit}
    return [Request(**row) for row in (await connection.execute(_NEWEST, values)).mappings()]
