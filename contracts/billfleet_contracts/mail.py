"""The mail family: what asks for mails, what is ready to be mailed, and what became of them.

Built by front ends, workers and Amazon's notification service; read by the three mail workers and
by subscribers. No event carries an address: who a mail goes to is read when it is sent. These
models must not know tenants, queues or templates.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from billfleet_contracts.event import Event, short_digest
from billfleet_contracts.fields import (
    AccountId,
    AmountMinor,
    Counter,
    Currency,
    DayDate,
    Printable128,
    Printable255,
    UtcDatetime,
)

_CLOSED = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True)

BILLS_MAX = 100
"""Bills of one mail; an account that owes more is told the number and the whole sum."""

RequestId = AccountId
FileId = Annotated[
    str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
]
TemplateName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
VariableName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Variable = Annotated[str, Field(max_length=4000)] | AmountMinor | bool
RefusalReason = Literal[
    "no_address",
    "bad_address",
    "suppressed",
    "no_consent",
    "no_recipient",
    "rejected",
    "superseded",
    "uncertain",
]


class Recipient(BaseModel):
    """Who a mail goes to: a customer, an account's customer, or a person of the tenant."""

    model_config = _CLOSED

    customer_id: AccountId | None = None
    account_id: AccountId | None = None
    contact_id: AccountId | None = None

    @model_validator(mode="after")
    def _names_exactly_one(self) -> Self:
        names = (self.customer_id, self.account_id, self.contact_id)
        if sum(name is not None for name in names) != 1:
            raise ValueError("name exactly one of customer_id, account_id and contact_id")
        return self


class DueBillsRequested(Event):
    """Request: mail the account what it owes. Within an hour of the last such mail: a duplicate."""

    TYPE: ClassVar[str] = "billfleet.mail.due_bills_requested.v1"

    account_id: AccountId
    request_id: RequestId

    def subject(self) -> str | None:
        """The account."""
        return self.account_id

    def default_dedupe_key(self) -> str:
        """A front end's request, however often it is sent."""
        return f"due_bills_requested:{self.request_id}"


class OpenBill(BaseModel):
    """A bill that was open when the mail was prepared, and the file that shows it."""

    model_config = _CLOSED

    period_start: DayDate
    period_end: DayDate
    amount_minor: AmountMinor
    currency: Currency
    file_id: FileId | None = None


class DueBillsReady(Event):
    """Fact: this is what the account owes, and it may be mailed. No bills: nothing is due."""

    TYPE: ClassVar[str] = "billfleet.mail.due_bills_ready.v1"

    account_id: AccountId
    request_id: RequestId
    bills: Annotated[tuple[OpenBill, ...], Field(max_length=BILLS_MAX, strict=False)] = ()

    def subject(self) -> str | None:
        """The account."""
        return self.account_id

    def default_dedupe_key(self) -> str:
        """One for each request that was answered with a mail."""
        return f"due_bills_ready:{self.request_id}"


class SendMail(Event):
    """Request: send one mail made from a template of the fleet.

    `variables` fill the template. `mail_id` makes two requests the same mail; without it the
    content does.
    """

    TYPE: ClassVar[str] = "billfleet.mail.send_mail.v1"

    template: TemplateName
    recipient: Recipient
    variables: Annotated[dict[VariableName, Variable], Field(max_length=32)]
    mail_id: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,100}$")] | None = None

    def default_dedupe_key(self) -> str:
        """The sender's id of the mail, or its content."""
        if self.mail_id is None:
            return super().default_dedupe_key()
        return f"send_mail:{self.mail_id}"


class SnsNotification(Event):
    """Request: look at what Amazon SNS delivered, once its signature has been verified.

    The fields are those of the notification, spelt as they were signed.
    """

    TYPE: ClassVar[str] = "billfleet.mail.sns_notification.v1"

    kind: Printable128
    message_id: Printable128
    topic_arn: Printable255
    message: Annotated[str, Field(max_length=262_144)]
    notification_subject: Annotated[str, Field(max_length=1024)] | None = None
    timestamp: Printable128
    signature_version: Printable128
    signature: Annotated[str, Field(max_length=4096)]
    signing_cert_url: Annotated[str, Field(max_length=2048)]

    def default_dedupe_key(self) -> str:
        """SNS may deliver a notification twice; its id stays."""
        return f"sns_notification:{short_digest([self.topic_arn, self.message_id])}"


class _OfMail(Event):
    """Facts about one mail."""

    mail_id: FileId
    template: TemplateName
    recipient: Recipient

    def subject(self) -> str | None:
        """The mail."""
        return self.mail_id


class MailSent(_OfMail):
    """Fact: the mail service accepted a mail. `maybe_twice`: an earlier try may have gone too."""

    TYPE: ClassVar[str] = "billfleet.mail.mail_sent.v1"

    sent_at: UtcDatetime
    attempts: Counter = 1
    maybe_twice: bool = False

    def default_dedupe_key(self) -> str:
        """A mail is sent once."""
        return f"mail_sent:{self.mail_id}"


class MailRefused(_OfMail):
    """Fact: a mail will not be sent, and why."""

    TYPE: ClassVar[str] = "billfleet.mail.mail_refused.v1"

    refused_at: UtcDatetime
    reason: RefusalReason

    def default_dedupe_key(self) -> str:
        """A mail is refused once."""
        return f"mail_refused:{self.mail_id}"
