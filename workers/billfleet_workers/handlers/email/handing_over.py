"""The last moment before the mail service is called: who, whether, and what exactly.

The handler asks for it with a turn in hand. One transaction locks the mail's row, reads recipient,
consent and suppression as they are now (R48, R55), renders, and writes down that the service is
about to be called. What may not go is concluded here, with its reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import MailRefused
from billfleet_contracts.mail import RefusalReason
from billfleet_db import Database, open_bills, outbox
from billfleet_db.mail import (
    Mail,
    NewMail,
    RecipientRow,
    mails,
    policies,
    recipients,
    requests,
    suppressions,
)
from billfleet_workers.handlers.email.addresses import (
    AddressRefused,
    checked_address,
    checked_name,
)
from billfleet_workers.handlers.email.filling import Filling
from billfleet_workers.handlers.email.judging import Busy, GiveUp, Over, judge
from billfleet_workers.handlers.email.links import Links
from billfleet_workers.handlers.email.message import Addressing, compose
from billfleet_workers.handlers.email.plans import HOUSE_POLICY, Plan
from billfleet_workers.handlers.email.policy import MailPolicy
from billfleet_workers.handlers.email.rendering import Reader, masked, render
from billfleet_workers.handlers.email.templates import TemplateSpec
from billfleet_workers.handlers.outbox_rows import outbox_row
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Misconfigured, Permanent, Transient
from billfleet_workers.runtime.handling import Work

# Any UUID serves as long as it never changes: ids of mails depend on it.
_NAMESPACE: Final = uuid5(NAMESPACE_URL, "https://billfleet/mails")
CHOICES_KEPT_S: Final = 30.0
TENANTS_KEPT_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Handover:
    """A mail whose row says that the service is being called."""

    mail: Mail
    plan: Plan
    token: str
    again: bool
    sender: str
    recipient: str
    body: bytes
    copy: bytes
    object_key: str

    @property
    def attempts(self) -> int:
        """The number of this handing over."""
        return self.mail.attempts + 1

    @property
    def tags(self) -> Mapping[str, str]:
        """By which the service's notices name the mail."""
        return {"billfleet-tenant": self.mail.tenant_id, "billfleet-mail": str(self.mail.mail_id)}


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing is to be sent. `sent_at` where it had been sent already."""

    note: str
    template: str
    sent_at: datetime | None = None


class _Refused(Exception):
    """It may not go, for a reason that the one who asked is told."""

    def __init__(self, reason: RefusalReason, address: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.address = address


def mail_id_of(tenant: str, mail_key: str) -> UUID:
    """The id of a mail: the same request is the same mail, whoever works on it."""
    return uuid5(_NAMESPACE, f"{tenant}\n{mail_key}")


def object_key_of(tenant: str, mail_id: UUID, now: datetime) -> str:
    """Where the copy of a mail lies."""
    return f"mails/{tenant}/{now:%Y}/{now:%m}/{mail_id}.eml"


class HandoverRoom:
    """Prepares mails for the mail service."""

    def __init__(
        self, database: Database, links: Links, clock: Clock, policy: MailPolicy, source: str
    ) -> None:
        self._database = database
        self._links = links
        self._clock = clock
        self._policy = policy
        self._source = source
        self._choices: dict[str, tuple[float, Mapping[str, bool]]] = {}

    async def is_wanted(self, tenant: str, plan: Plan) -> bool:
        """Whether the tenant has its customers mailed about such facts."""
        if plan.is_asked_for or plan.spec.name not in HOUSE_POLICY:
            return True
        now_s = self._clock.monotonic()
        read_s, chosen = self._choices.get(tenant, (-CHOICES_KEPT_S, {}))
        if now_s - read_s >= CHOICES_KEPT_S:
            async with transaction(self._database) as connection:
                chosen = await policies.get(connection, tenant)
            if len(self._choices) >= TENANTS_KEPT_MAX:
                self._choices.clear()
            self._choices[tenant] = (now_s, chosen)
        return chosen.get(plan.spec.name, HOUSE_POLICY[plan.spec.name])

    async def hand_over(self, plan: Plan, work: Work) -> Handover | Settled:
        """Write down that the service is about to be called, or why it is not.

        Raises:
            TemplateRefused: the variables do not fill the template. Nothing was written.
            Transient: another worker has the mail in hand.
            Permanent: there is no such tenant.
        """
        now = self._clock.now()
        async with transaction(self._database) as connection:
            mail = await self._prepared(connection, plan, work, now)
            verdict = judge(mail, now)
            if isinstance(verdict, Over):
                return Settled("already_done", mail.template, mail.sent_at)
            if isinstance(verdict, Busy):
                wait_s = (verdict.until - now).total_seconds() + 1
                raise Transient("another worker has the mail in hand", retry_after_s=wait_s)
            if isinstance(verdict, GiveUp):
                return await self._give_up(connection, plan, mail, work, now)
            try:
                return await self._ready(connection, plan, mail, work, again=verdict.again)
            except AddressRefused:
                refused = _Refused("bad_address")
            except _Refused as error:
                refused = error
            if verdict.again:
                # It may be out already: what it is now too late to refuse stays uncertain.
                return await self._give_up(connection, plan, mail, work, now)
            await mails.conclude(
                connection,
                mail,
                "refused",
                reason=refused.reason,
                address=refused.address,
                now=now,
            )
            await self._tell(connection, plan, mail, refused.reason, work, now)
        return Settled(refused.reason, mail.template)

    async def _prepared(
        self, connection: AsyncConnection, plan: Plan, work: Work, now: datetime
    ) -> Mail:
        tenant = work.envelope.tenant
        if plan.request_id is not None:
            # The same lock as the due-bills worker's: a request is superseded before or after.
            await requests.lock_account(connection, tenant, plan.recipient_id)
        if not await recipients.tenant_exists(connection, tenant):
            raise Permanent(f"there is no tenant {tenant}")
        return await mails.prepare(
            connection,
            NewMail(
                tenant_id=tenant,
                mail_id=mail_id_of(tenant, plan.mail_key),
                mail_key=plan.mail_key,
                template=plan.spec.name,
                category=plan.spec.category,
                recipient_kind=plan.kind,
                recipient_id=plan.recipient_id,
                work_id=work.envelope.id,
                prepared_at=now,
            ),
        )

    async def _ready(
        self, connection: AsyncConnection, plan: Plan, mail: Mail, work: Work, *, again: bool
    ) -> Handover:
        tenant, now = mail.tenant_id, self._clock.now()
        if plan.request_id is not None:
            request = await requests.get(connection, tenant, plan.request_id)
            if request is not None and request.state == "superseded":
                raise _Refused("superseded")
        if plan.unpaid is not None and await open_bills.is_paid(
            connection, tenant, plan.recipient_id, plan.unpaid
        ):
            raise _Refused("superseded")
        reader, address = await self._reader(connection, plan, tenant, now)
        spec, variables = await Filling(connection, tenant, self._links, now).fill(plan)
        rendered = render(spec, reader, variables)
        addressing = Addressing(reader.tenant_name, self._sender(spec), reader.name, address)
        url = reader.unsubscribe_url
        body = compose(rendered, addressing, mail_id=mail.mail_id, now=now, unsubscribe_url=url)
        copy = body
        if spec.secrets and not self._policy.keeps_secrets:
            hidden = render(spec, reader, masked(spec, variables))
            copy = compose(hidden, addressing, mail_id=mail.mail_id, now=now, unsubscribe_url=url)
        object_key = object_key_of(tenant, mail.mail_id, mail.prepared_at)
        await mails.hand_over(
            connection,
            mail,
            address=address,
            locale=reader.locale,
            subject=rendered.subject,
            object_key=object_key,
            token=work.token,
            leased_until=now + timedelta(seconds=self._policy.lease_s),
        )
        sender = self._sender(spec)
        return Handover(mail, plan, work.token, again, sender, address, body, copy, object_key)

    async def _reader(
        self, connection: AsyncConnection, plan: Plan, tenant: str, now: datetime
    ) -> tuple[Reader, str]:
        """Who reads it, as they are on record now, unless something stands against it."""
        found = await recipients.read(connection, tenant, plan.kind, plan.recipient_id)
        if found is None:
            raise _Refused("no_recipient")
        if not found.email:
            raise _Refused("no_address")
        address = checked_address(found.email)
        checked_name(found.tenant_name)
        is_marketing = plan.spec.category == "marketing"
        scope: Any = "marketing" if is_marketing else "all"
        if await suppressions.find(connection, tenant, address, scope=scope):
            raise _Refused("suppressed", address)
        url = await self._unsubscribe_url(connection, tenant, found, now) if is_marketing else None
        name = checked_name(found.name)
        return Reader(name, found.locale, found.time_zone, found.tenant_name, url), address

    async def _unsubscribe_url(
        self, connection: AsyncConnection, tenant: str, found: RecipientRow, now: datetime
    ) -> str:
        if found.customer_id is None or not await recipients.has_consent(
            connection, tenant, found.customer_id, "marketing"
        ):
            raise _Refused("no_consent")
        if not self._links.can_be_made:
            raise Misconfigured("marketing mail", "set BILLFLEET_LINK_SECRET: it needs a way out")
        return self._links.unsubscribe(tenant, found.customer_id, now)

    async def _give_up(
        self, connection: AsyncConnection, plan: Plan, mail: Mail, work: Work, now: datetime
    ) -> Settled:
        await mails.conclude(connection, mail, "uncertain", reason="uncertain", now=now)
        await self._tell(connection, plan, mail, "uncertain", work, now)
        return Settled("uncertain", mail.template)

    async def _tell(
        self,
        connection: AsyncConnection,
        plan: Plan,
        mail: Mail,
        reason: RefusalReason,
        work: Work,
        now: datetime,
    ) -> None:
        event = refusal(mail, plan, reason, now)
        row = outbox_row(
            event,
            tenant=mail.tenant_id,
            source=self._source,
            now=now,
            traceparent=work.envelope.traceparent,
        )
        await outbox.add(connection, [row])

    def _sender(self, spec: TemplateSpec) -> str:
        """Marketing comes from an address of its own, so that it never harms bills (R52)."""
        policy = self._policy
        return policy.marketing_sender if spec.category == "marketing" else policy.sender


def refusal(mail: Mail, plan: Plan, reason: RefusalReason, now: datetime) -> MailRefused:
    """The fact that a mail will not be sent."""
    return MailRefused(
        mail_id=str(mail.mail_id),
        template=mail.template,
        recipient=plan.recipient,
        refused_at=now,
        reason=reason,
    )
