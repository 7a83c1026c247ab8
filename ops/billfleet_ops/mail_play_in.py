"""Plays a notice of the mail service into a local stack: a bounce, a complaint, a delivery.

`billfleet mail play-in` calls it. The emulator delivers every mail and never complains, so what SES
would say is written here, signed with the stack's own key, and put on the feedback queue as SNS
would. On AWS itself it refuses: real feedback comes from SES.
"""

import base64
import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

from billfleet_contracts import QUEUES, SnsNotification
from billfleet_db.mail import Mail
from billfleet_ops.clients import Clients, aws_errors_mapped
from billfleet_ops.errors import Refused
from billfleet_ops.local.feedback_keys import key_path
from billfleet_ops.local.home import Home
from billfleet_ops.resources import place_of
from billfleet_workers.main.mails import signed_text

Happening = Literal["bounce", "soft-bounce", "complaint", "delivery"]
QUEUE: Final = "mail-feedback"


def play_in(
    clients: Clients, home: Home, stack: str, mail: Mail, what: Happening, *, now: datetime
) -> str:
    """Put the notice on the queue, and return its id.

    Raises:
        Refused: this is no embedded stack, so there is no key to sign with.
    """
    key = key_path(home)
    if not key.exists():
        raise Refused(
            "Notices can be played into an embedded stack only",
            where=str(key),
            remedy="Run it beside `billfleet up`; on AWS use the addresses of the SES simulator.",
        )
    place = place_of(clients, stack)
    topic = f"arn:{place.partition}:sns:{place.region}:{place.account_id}:{stack}-{QUEUE}"
    notice = SnsNotification(
        kind="Notification",
        message_id=str(uuid.uuid4()),
        topic_arn=topic,
        message=json.dumps(said_by_ses(mail, what, now)),
        timestamp=f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z",
        signature_version="2",
        signature="",
        signing_cert_url=f"https://sns.{place.region}.amazonaws.com/billfleet-local.pem",
    )
    body = as_sns_writes(notice, _signature(key.read_bytes(), signed_text(notice)))
    with aws_errors_mapped(clients):
        url = clients.sqs.get_queue_url(QueueName=QUEUES[QUEUE].physical_name(stack))["QueueUrl"]
        clients.sqs.send_message(QueueUrl=url, MessageBody=body)
    return notice.message_id


def said_by_ses(mail: Mail, what: Happening, now: datetime) -> Mapping[str, Any]:
    """The event that SES would publish about this mail."""
    at = now.isoformat()
    about = {
        "timestamp": at,
        "messageId": mail.service_id,
        "destination": [mail.address],
        "tags": {"billfleet-tenant": [mail.tenant_id], "billfleet-mail": [str(mail.mail_id)]},
    }
    recipient = {"emailAddress": mail.address}
    parts: dict[Happening, tuple[str, dict[str, Any]]] = {
        "bounce": (
            "Bounce",
            {
                "bounceType": "Permanent",
                "bounceSubType": "General",
                "bouncedRecipients": [{**recipient, "diagnosticCode": "smtp; 550 no such user"}],
            },
        ),
        "soft-bounce": (
            "Bounce",
            {
                "bounceType": "Transient",
                "bounceSubType": "MailboxFull",
                "bouncedRecipients": [{**recipient, "diagnosticCode": "smtp; 452 mailbox full"}],
            },
        ),
        "complaint": (
            "Complaint",
            {"complainedRecipients": [recipient], "complaintFeedbackType": "abuse"},
        ),
        "delivery": ("Delivery", {"recipients": [mail.address]}),
    }
    kind, part = parts[what]
    told = {**part, "timestamp": at, "feedbackId": str(uuid.uuid4())}
    return {"eventType": kind, kind.lower(): told, "mail": about}


def as_sns_writes(notice: SnsNotification, signature: str) -> str:
    """The body of the message that SNS puts on a queue."""
    fields = {
        "Type": notice.kind,
        "MessageId": notice.message_id,
        "TopicArn": notice.topic_arn,
        "Message": notice.message,
        "Timestamp": notice.timestamp,
        "SignatureVersion": notice.signature_version,
        "Signature": signature,
        "SigningCertURL": notice.signing_cert_url,
    }
    if notice.notification_subject is not None:
        fields["Subject"] = notice.notification_subject
    return json.dumps(fields)


def _signature(key_pem: bytes, content: bytes) -> str:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    key = serialization.load_pem_private_key(key_pem, password=None)
    assert isinstance(key, rsa.RSAPrivateKey), "we made it"  # noqa: S101 (typing)
    return base64.b64encode(key.sign(content, padding.PKCS1v15(), hashes.SHA256())).decode()
