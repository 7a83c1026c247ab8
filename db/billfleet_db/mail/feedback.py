"""What the mail service told us: notices, kept once each, and the transient bounces among them.

The feedback worker calls it. A notice's topic and id make it the same notice (R51). It must not
know how a notice is verified.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

Happening = Literal["sent", "delivered", "bounced", "complained"]


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice; `is_known` is false for kinds that nothing of ours reacts to."""

    topic_arn: str
    notice_id: str
    kind: str
    is_known: bool
    body: Mapping[str, Any]
    received_at: datetime
    tenant_id: str | None = None
    mail_id: UUID | None = None


_REMEMBER = text("""
    INSERT INTO mail.notices (topic_arn, notice_id, kind, is_known, tenant_id, mail_id, body,
                              received_at)
    VALUES (:topic_arn, :notice_id, :kind, :is_known, :tenant_id, :mail_id,
            CAST(:body AS jsonb), :received_at)
    ON CONFLICT (topic_arn, notice_id) DO NOTHING
""")
_BOUNCE = text("""
    INSERT INTO mail.bounces (tenant_id, address, notice_id, bounced_at)
    VALUES (:tenant_id, lower(:address), :notice_id, :bounced_at)
    ON CONFLICT (tenant_id, address, notice_id) DO NOTHING
""")
_COUNT = text("""
    SELECT count(*) FROM mail.bounces
    WHERE tenant_id = :tenant_id AND address = lower(:address) AND bounced_at > :since
""")
_HAPPENED = {
    "delivered": text("""
        UPDATE mail.mails SET delivered_at = coalesce(delivered_at, :at)
        WHERE tenant_id = :tenant_id AND mail_id = :mail_id
    """),
    "bounced": text("""
        UPDATE mail.mails SET bounced_at = coalesce(bounced_at, :at)
        WHERE tenant_id = :tenant_id AND mail_id = :mail_id
    """),
    "complained": text("""
        UPDATE mail.mails SET complained_at = coalesce(complained_at, :at)
        WHERE tenant_id = :tenant_id AND mail_id = :mail_id
    """),
}
# The service took it after all: what it tells settles a mail whose answer was lost.
_SETTLE = text("""
    UPDATE mail.mails
    SET state = 'sent', reason = NULL, sent_at = coalesce(sent_at, :at), concluded_at = :at,
        service_id = coalesce(service_id, :service_id), lease_token = NULL, leased_until = NULL
    WHERE tenant_id = :tenant_id AND mail_id = :mail_id AND state IN ('sending', 'uncertain')
""")
_OF_MAIL = text("""
    SELECT kind, received_at FROM mail.notices
    WHERE tenant_id = :tenant_id AND mail_id = :mail_id ORDER BY received_at
""")


async def remember(connection: AsyncConnection, notice: Notice) -> bool:
    """Keep the notice; False when it is known, and nothing should follow from it again."""
    values = {
        "topic_arn": notice.topic_arn,
        "notice_id": notice.notice_id,
        "kind": notice.kind,
        "is_known": notice.is_known,
        "tenant_id": notice.tenant_id,
        "mail_id": notice.mail_id,
        "body": json.dumps(dict(notice.body)),
        "received_at": notice.received_at,
    }
    return (await connection.execute(_REMEMBER, values)).rowcount == 1


async def count_bounce(
    connection: AsyncConnection,
    tenant_id: str,
    address: str,
    *,
    notice_id: str,
    bounced_at: datetime,
    since: datetime,
) -> int:
    """Note a transient bounce, and return how many the address has had since then."""
    of_address = {"tenant_id": tenant_id, "address": address}
    await connection.execute(
        _BOUNCE, {**of_address, "notice_id": notice_id, "bounced_at": bounced_at}
    )
    return int((await connection.execute(_COUNT, {**of_address, "since": since})).scalar_one())


async def mark(
    connection: AsyncConnection, tenant_id: str, mail_id: UUID, what: Happening, *, at: datetime
) -> None:
    """Write down when this first happened to the mail."""
    if what in _HAPPENED:
        values = {"tenant_id": tenant_id, "mail_id": mail_id, "at": at}
        await connection.execute(_HAPPENED[what], values)


async def settle(
    connection: AsyncConnection, tenant_id: str, mail_id: UUID, *, service_id: str, at: datetime
) -> bool:
    """The service speaks of a mail whose answer was lost: it was sent."""
    values = {"tenant_id": tenant_id, "mail_id": mail_id, "service_id": service_id, "at": at}
    return (await connection.execute(_SETTLE, values)).rowcount == 1


async def of_mail(
    connection: AsyncConnection, tenant_id: str, mail_id: UUID
) -> list[tuple[str, datetime]]:
    """The notices about a mail, oldest first."""
    found = await connection.execute(_OF_MAIL, {"tenant_id": tenant_id, "mail_id": mail_id})
    return [(row.kind, row.received_at) for row in found]
