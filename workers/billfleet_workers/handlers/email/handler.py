"""The mail worker: one event, at most one mail, and a record of what became of it.

The runtime calls it with a claimed delivery. It waits for a turn, writes down that the mail
service is about to be called, calls it, and writes down what it answered. If the lights go out in
between, the row says how far it came: `prepared` goes on as if new, `sending` goes once more with a
flag, and never a third time. It must not know SQS or SES.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from billfleet_contracts import MailRefused, MailSent
from billfleet_db import Database, outbox
from billfleet_db.mail import mails
from billfleet_workers.handlers.due_bills_window import DUE_BILLS_WINDOW, due_bills_window
from billfleet_workers.handlers.email.handing_over import (
    Handover,
    HandoverRoom,
    Settled,
    refusal,
)
from billfleet_workers.handlers.email.links import Links
from billfleet_workers.handlers.email.plans import Plan, plan_of
from billfleet_workers.handlers.email.policy import MailPolicy
from billfleet_workers.handlers.email.rendering import TemplateRefused
from billfleet_workers.handlers.email.turns import Turns
from billfleet_workers.handlers.outbox_rows import outbox_row
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Permanent, Transient, Unavailable
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.ports.mailer import (
    FinishedMail,
    MailAnswer,
    Mailer,
    Rejected,
    Taken,
    Throttled,
    Unheard,
)
from billfleet_workers.runtime.ports.metrics import Metrics
from billfleet_workers.runtime.ports.objects import ObjectStore
from billfleet_workers.runtime.ports.windows import Windows

RECORD_TRIES: Final = 3
RECORD_PAUSE_S: Final = 0.5
AWAY_PAUSE_S: Final = 5.0

_log = structlog.get_logger("billfleet.email")


@dataclass(frozen=True, slots=True)
class MailPorts:
    """What the worker reaches the world through."""

    database: Database
    mailer: Mailer
    objects: ObjectStore
    windows: Windows
    turns: Turns
    links: Links
    clock: Clock
    metrics: Metrics


class EmailHandler:
    """Sends mails through one mail service."""

    def __init__(self, ports: MailPorts, policy: MailPolicy, source: str) -> None:
        self._ports = ports
        self._policy = policy
        self._source = source
        self._room = HandoverRoom(ports.database, ports.links, ports.clock, policy, source)

    async def handle(self, work: Work) -> Finished:
        """Send the mail that the event asks for, once.

        Raises:
            Permanent: a template that there is not, or variables that do not fill it.
            Transient: no turn came in time, or the service gave no answer.
            Unavailable: PostgreSQL can't be reached.
        """
        try:
            plan = plan_of(work.envelope)
            if plan is None:
                return Finished({"nobody_to_tell": 1})
            if not await self._room.is_wanted(work.envelope.tenant, plan):
                return Finished({"not_wanted": 1})
            return await self._send(plan, work)
        except TemplateRefused as refused:
            raise Permanent(str(refused)) from refused

    async def _send(self, plan: Plan, work: Work) -> Finished:
        ports, tenant = self._ports, work.envelope.tenant
        started_s = ports.clock.monotonic()
        while True:
            left_s = self._policy.patience_s - (ports.clock.monotonic() - started_s)
            if left_s <= 0 or not await ports.turns.take(tenant, left_s):
                raise Transient(
                    f"no turn at the mail service in {self._policy.patience_s:.0f} s",
                    retry_after_s=self._policy.back_after_s(work.receive_count),
                )
            prepared = await self._room.hand_over(plan, work)
            if isinstance(prepared, Settled):
                await self._settle_window(plan, tenant, prepared)
                return self._finished(prepared.note, prepared.template)
            answer = await self._call(prepared)
            if isinstance(answer, Throttled):
                await self._take_back(prepared)
                ports.turns.pause(answer.retry_after_s)
                continue
            return await self._conclude(prepared, answer, work)

    async def _call(self, handover: Handover) -> MailAnswer:
        """Hand the mail over, and keep a copy meanwhile."""
        started_s = self._ports.clock.monotonic()
        mail = FinishedMail(handover.sender, handover.recipient, handover.body, handover.tags)
        answer, _ = await asyncio.gather(self._hand_to_service(mail), self._keep_copy(handover))
        spent_ms = (self._ports.clock.monotonic() - started_s) * 1000
        self._ports.metrics.timing("mail_service_ms", spent_ms, service=self._ports.mailer.name)
        return answer

    async def _hand_to_service(self, mail: FinishedMail) -> MailAnswer:
        try:
            return await self._ports.mailer.send(mail)
        except Unavailable as away:
            # Other workers of this process go on: only mails wait for the mail service.
            _log.warning("mail_service_away", reason=away.reason)
            return Throttled(away.reason, AWAY_PAUSE_S)

    async def _keep_copy(self, handover: Handover) -> None:
        """What was sent, for whoever looks it up. A mail goes out with or without it."""
        try:
            async with asyncio.timeout(self._policy.copy_patience_s):
                await self._ports.objects.put(
                    handover.object_key, handover.copy, content_type="message/rfc822"
                )
        except Exception as error:  # noqa: BLE001 - whatever it is: the mail may be out already
            self._ports.metrics.count("mail_copies_lost", template=handover.mail.template)
            reason = str(error) or type(error).__name__
            _log.warning("mail_copy_lost", mail_id=str(handover.mail.mail_id), reason=reason)

    async def _take_back(self, handover: Handover) -> None:
        async with transaction(self._ports.database) as connection:
            await mails.take_back(connection, handover.mail, handover.token)

    async def _conclude(
        self, handover: Handover, answer: Taken | Rejected | Unheard, work: Work
    ) -> Finished:
        template = handover.mail.template
        if isinstance(answer, Unheard):
            self._ports.metrics.count("mails", template=template, result="unheard")
            raise Transient(answer.reason, retry_after_s=self._policy.lease_s + 1)
        settled = await self._record_surely(handover, answer, work)
        await self._settle_window(handover.plan, work.envelope.tenant, settled)
        return self._finished(settled.note, template)

    async def _record_surely(
        self, handover: Handover, answer: Taken | Rejected, work: Work
    ) -> Settled:
        """The mail is out: it is worth some patience to write that down."""
        for attempt in range(1, RECORD_TRIES):
            try:
                return await self._record(handover, answer, work)
            except (Unavailable, Transient):
                await self._ports.clock.sleep(RECORD_PAUSE_S * attempt)
        return await self._record(handover, answer, work)

    async def _record(self, handover: Handover, answer: Taken | Rejected, work: Work) -> Settled:
        now, tenant, mail = self._ports.clock.now(), work.envelope.tenant, handover.mail
        async with transaction(self._ports.database) as connection:
            if isinstance(answer, Taken):
                news = await mails.mark_sent(
                    connection, mail, service_id=answer.service_id, now=now
                )
                event: MailSent | MailRefused = MailSent(
                    mail_id=str(mail.mail_id),
                    template=mail.template,
                    recipient=handover.plan.recipient,
                    sent_at=now,
                    attempts=handover.attempts,
                    maybe_twice=handover.again,
                )
            else:
                news = await mails.conclude(connection, mail, "refused", reason="rejected", now=now)
                event = refusal(mail, handover.plan, "rejected", now)
                _log.warning(
                    "mail_rejected",
                    mail_id=str(mail.mail_id),
                    code=answer.code,
                    reason=answer.reason,
                )
            if news:
                row = outbox_row(
                    event,
                    tenant=tenant,
                    source=self._source,
                    now=now,
                    traceparent=work.envelope.traceparent,
                )
                await outbox.add(connection, [row])
        sent_at = now if isinstance(answer, Taken) else None
        note = "sent" if isinstance(answer, Taken) else "rejected"
        return Settled(note, mail.template, sent_at)

    async def _settle_window(self, plan: Plan, tenant: str, settled: Settled) -> None:
        """Say in the window what the database says; it saves work, so losing it harms nobody."""
        if plan.request_id is None:
            return
        key = due_bills_window(tenant, plan.recipient_id)
        try:
            if settled.sent_at is None:
                await self._ports.windows.release(key, plan.request_id)
            else:
                until = settled.sent_at + DUE_BILLS_WINDOW
                await self._ports.windows.record(key, plan.request_id, settled.sent_at, until)
        except Unavailable as error:
            _log.warning("window_not_settled", reason=error.reason)

    def _finished(self, note: str, template: str) -> Finished:
        self._ports.metrics.count("mails", template=template, result=note)
        return Finished({note: 1})
