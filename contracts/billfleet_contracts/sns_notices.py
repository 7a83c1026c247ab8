"""What Amazon SNS writes to a queue that has no raw delivery, translated into `SnsNotification`.

Called through `forms` for queues of the form `sns`. Pure translation: whether the signature is
good, and of whom the message speaks, is for the worker to find out.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from billfleet_contracts.codec import wrap
from billfleet_contracts.envelope import Envelope
from billfleet_contracts.errors import InvalidEvent, UndecodableBody
from billfleet_contracts.fields import UtcDatetime
from billfleet_contracts.mail import SnsNotification

SNS_TENANT: Final = "amazon-sns"
"""Whose a notification is until the worker has looked into it: SNS knows no tenants of ours."""
_TYPE: Final = SnsNotification.TYPE


class _Notice(BaseModel):
    """The fields that SNS signs, and the signature. It adds others as it pleases."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    Type: Literal["Notification"]
    MessageId: str
    TopicArn: str
    Message: str
    Subject: str | None = None
    Timestamp: str
    SignatureVersion: str
    Signature: str
    SigningCertURL: str


class _Moment(BaseModel):
    at: UtcDatetime


def decode_sns(body: str) -> Envelope:
    """Read a notification of SNS.

    Raises:
        UndecodableBody: not a JSON object.
        InvalidEvent: no notification: a field is missing, or it asks to confirm a subscription.
    """
    try:
        notice = _Notice.model_validate_json(body)
        moment = _Moment.model_validate_strings({"at": notice.Timestamp})
        event = SnsNotification(
            kind=notice.Type,
            message_id=notice.MessageId,
            topic_arn=notice.TopicArn,
            message=notice.Message,
            notification_subject=notice.Subject,
            timestamp=notice.Timestamp,
            signature_version=notice.SignatureVersion,
            signature=notice.Signature,
            signing_cert_url=notice.SigningCertURL,
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid" or not first["loc"]:
            raise UndecodableBody("the body is not a JSON object") from None
        path = "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in first["loc"])
        raise InvalidEvent(first["msg"], where=f"${path}", contract=_TYPE) from None
    return wrap(event, tenant=SNS_TENANT, source="/aws/sns", now=moment.at, id=event.message_id)
