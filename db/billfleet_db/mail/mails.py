"""Rows of mail.mails: a mail is prepared, handed over under a lease, and concluded, once.

The mail worker and the mail commands call it. Every change names the state that it starts from,
so that of two workers one is refused. It must not know what a template is or who sends.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db.mail.recipients import RecipientKind

MailState = Literal["prepared", "sending", "sent", "refused", "uncertain"]
Category = Literal["transactional", "marketing"]


@dataclass(frozen=True, slots=True)
class NewMail:
    """A mail that somebody asked for; `mail_key` makes two requests the same mail."""

    tenant_id: str
    mail_id: UUID
    mail_key: str
    template: str
    category: Category
    recipient_kind: RecipientKind
    recipient_id: str
    work_id: str
    prepared_at: datetime


@dataclass(frozen=True, slots=True)
class Mail:
    """A row of mail.mails."""

    tenant_id: str
    mail_id: UUID
    mail_key: str
    template: str
    category: Category
    recipient_kind: RecipientKind
    recipient_id: str
    address: str | None
    locale: str | None
    subject: str | None
    state: MailState
    reason: str | None
    attempts: int
    maybe_twice: bool
    lease_token: str | None
    leased_until: datetime | None
    service_id: str | None
    object_key: str | None
    work_id: str
    prepared_at: datetime
    sent_at: datetime | None
    concluded_at: datetime | None
    delivered_at: datetime | None
    bounced_at: datetime | None
    complained_at: datetime | None


_COLUMNS = ", ".join(column.name for column in fields(Mail))

_PREPARE = text("""
    INSERT INTO mail.mails (tenant_id, mail_id, mail_key, template, category, recipient_kind,
                            recipient_id, state, work_id, prepared_at)
    VALUES (:tenant_id, :mail_id, :mail_key, :template, :category, :recipient_kind,
            :recipient_id, 'prepared', :work_id, :prepared_at)
    ON CONFLICT (tenant_id, mail_key) DO NOTHING
""")
_LOCK = text(f"""
    SELECT {_COLUMNS} FROM mail.mails WHERE tenant_id = :tenant_id AND mail_key = :mail_key
    FOR UPDATE
""")
_HAND_OVER = text("""
    UPDATE mail.mails
    SET state = 'sending', attempts = attempts + 1, maybe_twice = (state = 'sending'),
        address = :address, locale = :locale, subject = :subject, object_key = :object_key,
        lease_token = :token, leased_until = :leased_until
    WHERE tenant_id = :tenant_id AND mail_id = :mail_id AND state IN ('prepared', 'sending')
""")
_TAKE_BACK = text("""
    UPDATE mail.mails
    SET state = CASE WHEN maybe_twice THEN 'sending' ELSE 'prepared' END, attempts = attempts - 1,
        lease_token = NULL, leased_until = NULL
    WHERE tenant_id = :tenant_id AND mail_id = :mail_id AND lease_token = :token
      AND state = 'sending'
""")
_SENT = text("""
    UPDATE mail.mails
    SET state = 'sent', service_id = :service_id, sent_at = :now, concluded_at = :now,
        lease_token = NULL, leased_until = NULL
    WHERE tenant_id = :tenant_id AND mail_id = :mail_id AND state = 'sending'
""")
_CONCLUDE = text("""
    UPDATE mail.mails
    SET state = :state, reason = :reason, address = coalesce(:address, address),
        concluded_at = :now, lease_token = NULL, leased_until = NULL
    WHERE tenant_id = :tenant_id AND mail_id = :mail_id AND state IN ('prepared', 'sending')
""")
_LIST = text(f"""
    SELECT {_COLUMNS} FROM mail.mails
    WHERE (CAST(:tenant_id AS text) IS NULL OR tenant_id = :tenant_id)
      AND (CAST(:state AS text) IS NULL OR state = :state)
      AND (CAST(:template AS text) IS NULL OR template = :template)
      AND (CAST(:recipient_id AS text) IS NULL OR recipient_id = :recipient_id)
    ORDER BY prepared_at DESC, mail_id LIMIT :limit
""")
_FIND = text(f"""
    SELECT {_COLUMNS} FROM mail.mails
    WHERE CAST(mail_id AS text) LIKE :beginning
      AND (CAST(:tenant_id AS text) IS NULL OR tenant_id = :tenant_id)
    ORDER BY prepared_at DESC LIMIT 2
""")
_BY_SERVICE_ID = text(f"SELECT {_COLUMNS} FROM mail.mails WHERE service_id = :service_id LIMIT 1")
_BY_ID = text(f"""
    SELECT {_COLUMNS} FROM mail.mails WHERE tenant_id = :tenant_id AND mail_id = :mail_id
""")
_COUNTS = text("""
    SELECT tenant_id, state, count(*) AS mails FROM mail.mails
    GROUP BY tenant_id, state ORDER BY tenant_id, state
""")


async def prepare(connection: AsyncConnection, mail: NewMail) -> Mail:
    """Write the mail unless it is there, and return it as it is recorded, locked."""
    values = {column.name: getattr(mail, column.name) for column in fields(mail)}
    await connection.execute(_PREPARE, values)
    found = await connection.execute(
        _LOCK, {"tenant_id": mail.tenant_id, "mail_key": mail.mail_key}
    )
    return Mail(**found.mappings().one())


async def hand_over(
    connection: AsyncConnection,
    mail: Mail,
    *,
    address: str,
    locale: str,
    subject: str,
    object_key: str | None,
    token: str,
    leased_until: datetime,
) -> bool:
    """Record that the mail service is about to be called; from `sending`, it may be twice."""
    done = await connection.execute(
        _HAND_OVER,
        {
            "tenant_id": mail.tenant_id,
            "mail_id": mail.mail_id,
            "address": address,
            "locale": locale,
            "subject": subject,
            "object_key": object_key,
            "token": token,
            "leased_until": leased_until,
        },
    )
    return done.rowcount == 1


async def take_back(connection: AsyncConnection, mail: Mail, token: str) -> bool:
    """Record that the mail service was called and has surely not taken the mail."""
    done = await connection.execute(
        _TAKE_BACK, {"tenant_id": mail.tenant_id, "mail_id": mail.mail_id, "token": token}
    )
    return done.rowcount == 1


async def mark_sent(
    connection: AsyncConnection, mail: Mail, *, service_id: str, now: datetime
) -> bool:
    """Record that the mail service took it; False when it had been concluded before."""
    done = await connection.execute(
        _SENT,
        {
            "tenant_id": mail.tenant_id,
            "mail_id": mail.mail_id,
            "service_id": service_id,
            "now": now,
        },
    )
    return done.rowcount == 1


async def conclude(
    connection: AsyncConnection,
    mail: Mail,
    state: Literal["refused", "uncertain"],
    *,
    reason: str,
    now: datetime,
    address: str | None = None,
) -> bool:
    """Record that it will not be sent, or that nobody knows; False when concluded before."""
    done = await connection.execute(
        _CONCLUDE,
        {
            "tenant_id": mail.tenant_id,
            "mail_id": mail.mail_id,
            "state": state,
            "reason": reason,
            "address": address,
            "now": now,
        },
    )
    return done.rowcount == 1


async def newest(
    connection: AsyncConnection,
    *,
    tenant_id: str | None = None,
    state: str | None = None,
    template: str | None = None,
    recipient_id: str | None = None,
    limit: int = 50,
) -> list[Mail]:
    """The latest mails first, of one tenant, state, template or recipient where named."""
    values = {
        "tenant_id": tenant_id,
        "state": state,
        "template": template,
        "recipient_id": recipient_id,
        "limit": limit,
    }
    return [Mail(**row) for row in (await connection.execute(_LIST, values)).mappings()]


async def find(
    connection: AsyncConnection, beginning: str, *, tenant_id: str | None = None
) -> Sequence[Mail]:
    """The mails whose id begins so; at most two, so that the caller sees an ambiguity."""
    escaped = beginning.lower().replace("\\", "").replace("%", "").replace("_", "")
    found = await connection.execute(_FIND, {"beginning": f"{escaped}%", "tenant_id": tenant_id})
    return [Mail(**row) for row in found.mappings()]


async def by_service_id(connection: AsyncConnection, service_id: str) -> Mail | None:
    """The mail that the mail service calls so."""
    row = (await connection.execute(_BY_SERVICE_ID, {"service_id": service_id})).mappings().first()
    return Mail(**row) if row else None


async def get(connection: AsyncConnection, tenant_id: str, mail_id: UUID) -> Mail | None:
    """The mail of this id."""
    found = await connection.execute(_BY_ID, {"tenant_id": tenant_id, "mail_id": mail_id})
    row = found.mappings().first()
    return Mail(**row) if row else None


async def counts(connection: AsyncConnection) -> dict[tuple[str, str], int]:
    """How many mails each tenant has in each state."""
    return {(row.tenant_id, row.state): row.mails for row in await connection.execute(_COUNTS)}
