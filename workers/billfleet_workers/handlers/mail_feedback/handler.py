"""The feedback worker: bounces and complaints end sending to an address, once each.

The runtime calls it with what SNS wrote to the queue, translated and not yet believed. It verifies,
keeps the notice, and in the same transaction suppresses what the notice asks for, for the one
tenant whose mail it was (R49). It must not know how mails are sent.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import SnsNotification
from billfleet_db import Database
from billfleet_db.mail import Mail, Suppression, feedback, mails, suppressions
from billfleet_db.mail.feedback import Happening, Notice
from billfleet_workers.handlers.mail_feedback.reading import FeedbackNotice, Meaning, read_notice
from billfleet_workers.handlers.mail_feedback.verifying import (
    AGE_MAX,
    NotTrusted,
    check_envelope,
    check_signature,
)
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Permanent
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.ports.certificates import Certificates
from billfleet_workers.runtime.ports.metrics import Metrics

_log = structlog.get_logger("billfleet.mail_feedback")

_HAPPENINGS: Final[dict[Meaning, Happening]] = {
    "permanent": "bounced",
    "transient": "bounced",
    "complaint": "complained",
    "delivered": "delivered",
}


@dataclass(frozen=True, slots=True)
class FeedbackPolicy:
    """Whom we listen to, and how many transient bounces an address may have in how long."""

    topic_arns: Collection[str]
    transient_max: int = 3
    transient_window: timedelta = timedelta(days=7)
    age_max: timedelta = AGE_MAX


class FeedbackHandler:
    """Takes in what the mail service says."""

    def __init__(
        self,
        database: Database,
        certificates: Certificates,
        clock: Clock,
        metrics: Metrics,
        policy: FeedbackPolicy,
    ) -> None:
        self._database = database
        self._certificates = certificates
        self._clock = clock
        self._metrics = metrics
        self._policy = policy

    async def handle(self, work: Work) -> Finished:
        """Take in one notification.

        Raises:
            Permanent: it is not to be trusted (R51).
            Unavailable: its certificate can't be fetched, or PostgreSQL can't be reached.
        """
        event = work.envelope.data
        if not isinstance(event, SnsNotification):
            raise Permanent(f"the feedback worker does not handle {work.envelope.type}")
        await self._verify(event)
        notice = read_notice(event.message)
        async with transaction(self._database) as connection:
            result = await self._take_in(connection, event, notice)
        self._metrics.count("mail_notices", kind=notice.kind[:40], result=result)
        return Finished({result: 1})

    async def _verify(self, event: SnsNotification) -> None:
        now = self._clock.now()
        try:
            check_envelope(event, now, self._policy.topic_arns, self._policy.age_max)
            pem = await self._certificates.get(event.signing_cert_url)
            check_signature(event, pem, now)
        except NotTrusted as reason:
            raise Permanent(f"the notification is not to be trusted: {reason}") from reason

    async def _take_in(
        self, connection: AsyncConnection, event: SnsNotification, notice: FeedbackNotice
    ) -> str:
        now = self._clock.now()
        mail = await _mail_of(connection, notice)
        kept = Notice(
            topic_arn=event.topic_arn,
            notice_id=event.message_id,
            kind=notice.kind,
            is_known=notice.meaning != "unknown",
            body=notice.body,
            received_at=now,
            tenant_id=mail.tenant_id if mail else None,
            mail_id=mail.mail_id if mail else None,
        )
        if not await feedback.remember(connection, kept):
            return "known_before"
        if notice.meaning == "unknown":
            _log.warning("mail_notice_unknown", kind=notice.kind, notice_id=event.message_id)
            return "unknown_kind"
        if mail is None:
            _log.warning("mail_notice_without_mail", kind=notice.kind, notice_id=event.message_id)
            return "unknown_mail"
        return await self._follow(connection, event, notice, mail, notice.occurred_at or now)

    async def _follow(
        self,
        connection: AsyncConnection,
        event: SnsNotification,
        notice: FeedbackNotice,
        mail: Mail,
        at: datetime,
    ) -> str:
        """What the notice asks for, about this mail and its tenant."""
        if notice.service_id is not None:
            # Whatever it tells of the mail, it has it: an answer that was lost is found again.
            await feedback.settle(
                connection, mail.tenant_id, mail.mail_id, service_id=notice.service_id, at=at
            )
        happened = _HAPPENINGS.get(notice.meaning)
        if happened is None:
            return "noted"
        await feedback.mark(connection, mail.tenant_id, mail.mail_id, happened, at=at)
        if notice.meaning == "delivered":
            return "delivered"
        results = [
            await self._against(connection, event, notice, mail, address)
            for address in notice.addresses
        ]
        return "suppressed" if "suppressed" in results else "counted" if results else "noted"

    async def _against(
        self,
        connection: AsyncConnection,
        event: SnsNotification,
        notice: FeedbackNotice,
        mail: Mail,
        address: str,
    ) -> Literal["suppressed", "counted"]:
        reason: Literal["bounce", "complaint", "transient_bounces"] = "bounce"
        if notice.meaning == "complaint":
            reason = "complaint"
        elif notice.meaning == "transient":
            now = self._clock.now()
            bounces = await feedback.count_bounce(
                connection,
                mail.tenant_id,
                address,
                notice_id=notice.feedback_id or event.message_id,
                bounced_at=notice.occurred_at or now,
                since=now - self._policy.transient_window,
            )
            if bounces < self._policy.transient_max:
                return "counted"
            reason = "transient_bounces"
        await suppressions.add(
            connection,
            Suppression(
                tenant_id=mail.tenant_id,
                address=address,
                scope="all",
                reason=reason,
                suppressed_at=self._clock.now(),
                detail=notice.detail or None,
                mail_id=mail.mail_id,
            ),
        )
        _log.info("address_suppressed", tenant=mail.tenant_id, reason=reason)
        return "suppressed"


async def _mail_of(connection: AsyncConnection, notice: FeedbackNotice) -> Mail | None:
    """The mail that it speaks of: by the service's id, else by our tags, when it outran us."""
    if notice.service_id is not None:
        found = await mails.by_service_id(connection, notice.service_id)
        if found is not None:
            return found
    if notice.tenant is not None and notice.mail_id is not None:
        return await mails.get(connection, notice.tenant, notice.mail_id)
    return None
