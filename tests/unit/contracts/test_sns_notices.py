"""A notification as Amazon SNS writes it becomes an event of the catalogue."""

import json
from datetime import UTC, datetime

import pytest

from billfleet_contracts import InvalidEvent, SnsNotification, UndecodableBody, decoder_of

# As in the Amazon SNS documentation (HTTP/HTTPS notification JSON format), shortened.
NOTICE = {
    "Type": "Notification",
    "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
    "TopicArn": "arn:aws:sns:us-west-2:123456789012:MyTopic",
    "Subject": "My First Message",
    "Message": "Hello world!",
    "Timestamp": "2012-05-02T00:54:06.655Z",
    "SignatureVersion": "1",
    "Signature": "EXAMPLEw6JRN...",
    "SigningCertURL": "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3e.pem",
    "UnsubscribeURL": "https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe",
}


def test_a_notification_keeps_every_field_that_was_signed() -> None:
    """R51."""
    envelope = decoder_of("sns")(json.dumps(NOTICE))
    event = envelope.data
    assert isinstance(event, SnsNotification)
    assert event.model_dump(exclude_none=True) == {
        "kind": "Notification",
        "message_id": NOTICE["MessageId"],
        "topic_arn": NOTICE["TopicArn"],
        "message": "Hello world!",
        "notification_subject": "My First Message",
        "timestamp": "2012-05-02T00:54:06.655Z",
        "signature_version": "1",
        "signature": "EXAMPLEw6JRN...",
        "signing_cert_url": NOTICE["SigningCertURL"],
    }
    assert envelope.id == NOTICE["MessageId"]
    assert envelope.time == datetime(2012, 5, 2, 0, 54, 6, 655000, tzinfo=UTC)


def test_the_same_notification_twice_is_the_same_work() -> None:
    """R51."""
    first, second = (decoder_of("sns")(json.dumps(NOTICE)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"Type": "SubscriptionConfirmation"}, "$.Type"),
        ({"Timestamp": "yesterday"}, "$.at"),
        ({"Signature": None}, "$.Signature"),
    ],
)
def test_what_is_no_notification_is_refused_by_its_field(
    change: dict[str, object], where: str
) -> None:
    with pytest.raises(InvalidEvent) as caught:
        decoder_of("sns")(json.dumps(NOTICE | change))
    assert caught.value.where == where


@pytest.mark.parametrize("body", ["", "[]", "not json", "\ud800"])
def test_what_is_no_json_object_is_undecodable(body: str) -> None:
    with pytest.raises(UndecodableBody):
        decoder_of("sns")(body)
