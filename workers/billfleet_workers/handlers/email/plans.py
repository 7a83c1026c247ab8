"""What mail an event asks for: template, recipient, and what makes two of them the same mail.

The handler asks for a plan of each event and then needs not know the event any more. A plan names
ids; addresses are read when the mail is sent (R55). Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Final

from billfleet_contracts import (
    DueBillsReady,
    Envelope,
    ExportFailed,
    ExportReady,
    OpenBill,
    PaymentFailed,
    PaymentSucceeded,
    PointsExpiring,
    Recipient,
    ReportReady,
    SendMail,
)
from billfleet_db.mail import RecipientKind
from billfleet_workers.handlers.email.rendering import TemplateRefused, check, spec_of
from billfleet_workers.handlers.email.templates import TemplateSpec

MAILED_EVENTS: Final = (
    SendMail,
    DueBillsReady,
    PaymentSucceeded,
    PaymentFailed,
    PointsExpiring,
    ExportReady,
    ExportFailed,
    ReportReady,
)
HOUSE_POLICY: Final[Mapping[str, bool]] = {
    "receipt": False,
    "payment_failed": True,
    "points_expiring": True,
}
"""Facts that a tenant may have mailed or not, and what holds until it says so."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A mail to be. `file_id` is linked as `link`; `request_id` and `bills` are of due bills."""

    spec: TemplateSpec
    kind: RecipientKind
    recipient_id: str
    mail_key: str
    variables: Mapping[str, Any]
    file_id: str | None = None
    file_expires_at: datetime | None = None
    request_id: str | None = None
    bills: tuple[OpenBill, ...] = field(default=())
    unpaid: date | None = None
    """The period whose bill must still be unpaid when it is sent."""
    is_asked_for: bool = False
    """A front end wants this very mail; it is not for the tenant's choice of facts."""

    @property
    def recipient(self) -> Recipient:
        """The recipient as events name it."""
        return Recipient.model_validate({f"{self.kind}_id": self.recipient_id})


def plan_of(envelope: Envelope) -> Plan | None:
    """The mail that the event asks for; None when it asks for none.

    Raises:
        TemplateRefused: a front end asks for a template that there is not, or fills it wrongly.
    """
    match envelope.data:
        case SendMail() as event:
            return _asked_for(event, envelope)
        case DueBillsReady() as event:
            spec = spec_of("due_bills" if event.bills else "nothing_due")
            key = due_bills_key(event.request_id)
            return Plan(
                spec,
                "account",
                event.account_id,
                key,
                {"account_id": event.account_id},
                request_id=event.request_id,
                bills=event.bills,
            )
        case PaymentSucceeded() as event if event.amount_minor == 0:
            return None
        case PaymentSucceeded() | PaymentFailed() as event:
            return _of_payment(event, envelope)
        case PointsExpiring() as event:
            said = event.model_dump(include={"card_id", "points", "expires_on"})
            return _of_fact("points_expiring", "customer", event.customer_id, envelope, said)
        case ExportReady() | ExportFailed() as event:
            return _of_export(event, envelope)
        case ReportReady() as event:
            said = event.model_dump(include={"title", "first_day", "last_day"})
            plan = _of_fact("report_ready", "contact", event.contact_id, envelope, said)
            return _with_file(plan, event.file_id, None)
        case _:
            return None


def due_bills_key(request_id: str) -> str:
    """What makes two mails the answer to the same request."""
    return f"due_bills:{request_id}"


def _asked_for(event: SendMail, envelope: Envelope) -> Plan:
    spec = spec_of(event.template)
    if not spec.is_public:
        raise TemplateRefused(f"template {event.template} is not for requests")
    check(spec, event.variables)
    kind, recipient_id = _named(event.recipient)
    key = envelope.dedupekey
    return Plan(spec, kind, recipient_id, key, event.variables, is_asked_for=True)


def _of_payment(event: PaymentSucceeded | PaymentFailed, envelope: Envelope) -> Plan:
    variables: dict[str, Any] = {
        "account_id": event.account_id,
        "amount_minor": event.amount_minor,
        "currency": event.currency,
        "period_start": event.period_start,
    }
    if isinstance(event, PaymentSucceeded):
        variables |= {"paid_at": envelope.time, "reference": event.gateway_reference}
        return _of_fact("receipt", "account", event.account_id, envelope, variables)
    variables["next_attempt_at"] = event.next_attempt_at
    plan = _of_fact("payment_failed", "account", event.account_id, envelope, variables)
    return replace(plan, unpaid=event.period_start)


def _of_export(event: ExportReady | ExportFailed, envelope: Envelope) -> Plan | None:
    kind: RecipientKind = "contact" if event.notify_contact_id else "customer"
    recipient_id = event.notify_contact_id or event.notify_customer_id
    if recipient_id is None:
        return None
    if isinstance(event, ExportFailed):
        if event.cancelled:
            return None
        variables: dict[str, Any] = {"reason": event.reason}
        return _of_fact("export_failed", kind, recipient_id, envelope, variables)
    variables = {
        "file_name": event.file_name,
        "rows": event.rows,
        "bytes_count": event.bytes_count,
    }
    plan = _of_fact("export_ready", kind, recipient_id, envelope, variables)
    return _with_file(plan, event.file_id, event.expires_at)


def _of_fact(
    template: str,
    kind: RecipientKind,
    recipient_id: str,
    envelope: Envelope,
    variables: Mapping[str, Any],
) -> Plan:
    return Plan(spec_of(template), kind, recipient_id, envelope.dedupekey, variables)


def _with_file(plan: Plan, file_id: str, expires_at: datetime | None) -> Plan:
    return replace(plan, file_id=file_id, file_expires_at=expires_at)


def _named(recipient: Recipient) -> tuple[RecipientKind, str]:
    if recipient.customer_id is not None:
        return "customer", recipient.customer_id
    if recipient.account_id is not None:
        return "account", recipient.account_id
    return "contact", recipient.contact_id or ""
