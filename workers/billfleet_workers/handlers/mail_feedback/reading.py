"""What an SES notice says, in both of its spellings, as a value. Pure.

Event publishing names a notice by `eventType`, the older notifications by `notificationType`; the
rest is alike (R50). What is not known is read as far as it goes and kept. The handler decides what
follows.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parseaddr
from typing import Any, Final, Literal
from uuid import UUID

Meaning = Literal["permanent", "transient", "complaint", "delivered", "sent", "noted", "unknown"]
_MEANINGS: Final[Mapping[str, Meaning]] = {
    "Complaint": "complaint",
    "Delivery": "delivered",
    "Send": "sent",
    "Reject": "noted",
    "DeliveryDelay": "noted",
    "Rendering Failure": "noted",
    "Open": "noted",
    "Click": "noted",
    "Subscription": "noted",
}


@dataclass(frozen=True, slots=True)
class FeedbackNotice:
    """One notice. `addresses` are those that it is about, not all that the mail went to (R49)."""

    kind: str
    meaning: Meaning
    body: Mapping[str, Any]
    occurred_at: datetime | None
    service_id: str | None
    tenant: str | None
    mail_id: UUID | None
    addresses: Sequence[str] = ()
    detail: str = ""
    feedback_id: str | None = None


def read_notice(message: str) -> FeedbackNotice:
    """The notice in an SNS message. Whatever cannot be read is kept as an unknown kind."""
    try:
        body = json.loads(message)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return _unknown("not JSON", {"text": message[:10_000]})
    kind = str(body.get("eventType") or body.get("notificationType") or "unnamed")
    mail = _mapping(body.get("mail"))
    tenant, mail_id = _named(_mapping(mail.get("tags")))
    part = _mapping(body.get(kind[:1].lower() + kind[1:]))
    return FeedbackNotice(
        kind=kind,
        meaning=_meaning(kind, part),
        body=body,
        occurred_at=_moment(part.get("timestamp") or mail.get("timestamp")),
        service_id=_text(mail.get("messageId")),
        tenant=tenant,
        mail_id=mail_id,
        addresses=_addresses(part),
        detail=_detail(part),
        feedback_id=_text(part.get("feedbackId")),
    )


def _unknown(kind: str, body: Mapping[str, Any]) -> FeedbackNotice:
    return FeedbackNotice(kind, "unknown", body, None, None, None, None)


def _meaning(kind: str, part: Mapping[str, Any]) -> Meaning:
    if kind == "Bounce":
        # An undetermined bounce may pass, so it counts like a transient one.
        return "permanent" if part.get("bounceType") == "Permanent" else "transient"
    return _MEANINGS.get(kind, "unknown")


def _addresses(part: Mapping[str, Any]) -> list[str]:
    listed = part.get("bouncedRecipients") or part.get("complainedRecipients") or ()
    said = [_text(_mapping(one).get("emailAddress")) for one in listed]
    found = [parseaddr(one)[1].lower() for one in said if one]
    return list(dict.fromkeys(address for address in found if "@" in address))


def _detail(part: Mapping[str, Any]) -> str:
    said = (part.get("bounceSubType"), part.get("complaintFeedbackType"))
    codes = [_mapping(one).get("diagnosticCode") for one in part.get("bouncedRecipients") or ()]
    return "; ".join(str(one) for one in (*said, *codes) if one)[:500]


def _named(tags: Mapping[str, Any]) -> tuple[str | None, UUID | None]:
    """Tenant and mail, as we tagged the mail when we sent it."""

    def first(name: str) -> str | None:
        values = tags.get(name)
        return str(values[0]) if isinstance(values, list) and values else None

    try:
        named = first("billfleet-mail")
        return first("billfleet-tenant"), UUID(named) if named else None
    except ValueError:
        return first("billfleet-tenant"), None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value[:998] if isinstance(value, str) and value else None


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
