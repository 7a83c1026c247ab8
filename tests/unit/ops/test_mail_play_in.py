"""A notice that is played in is signed by the stack's own key and passes the real verification."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest

from billfleet_contracts import SnsNotification
from billfleet_contracts.sns_notices import decode_sns
from billfleet_db.mail import Mail
from billfleet_ops.clients import Clients
from billfleet_ops.errors import Refused
from billfleet_ops.local.feedback_keys import certificate_path
from billfleet_ops.local.home import Home
from billfleet_ops.mail_play_in import Happening, play_in
from billfleet_workers.handlers.mail_feedback.reading import read_notice
from billfleet_workers.handlers.mail_feedback.verifying import (
    AGE_MAX,
    check_envelope,
    check_signature,
)

NOW = datetime.now(UTC)
TOPIC = "arn:aws:sns:us-east-1:000000000000:shop-mail-feedback"
MAIL = Mail(
    tenant_id="acme", mail_id=UUID(int=7), mail_key="k", template="verification",
    category="transactional", recipient_kind="customer", recipient_id="c1",
    address="ada@customers.example", locale="en-US", subject="Hello", state="sent", reason=None,
    attempts=1, maybe_twice=False, lease_token=None, leased_until=None, service_id="ses-1",
    object_key=None, work_id="w", prepared_at=NOW, sent_at=NOW, concluded_at=NOW,
    delivered_at=None, bounced_at=None, complained_at=None,
)  # fmt: skip


class Endpoint:
    """Clients of an endpoint that keeps the bodies that it is sent."""

    region = "us-east-1"
    place = "a test"

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.sts = self.sqs = self

    def get_caller_identity(self) -> dict[str, str]:
        return {"Account": "000000000000", "Arn": "arn:aws:iam::000000000000:root"}

    def get_queue_url(self, QueueName: str) -> dict[str, str]:  # noqa: N803 - boto3's own name
        return {"QueueUrl": f"http://sqs/{QueueName}"}

    def send_message(self, QueueUrl: str, MessageBody: str) -> None:  # noqa: N803 - as above
        assert QueueUrl.endswith("shop-mail-feedback")
        self.bodies.append(MessageBody)


@pytest.mark.parametrize(
    ("what", "meaning"),
    [
        ("bounce", "permanent"),
        ("soft-bounce", "transient"),
        ("complaint", "complaint"),
        ("delivery", "delivered"),
    ],
)
def test_what_is_played_in_is_believed_and_means_what_was_said(
    tmp_path: Path, what: Happening, meaning: str
) -> None:
    """R51: the same checks as for a real one."""
    home, endpoint = Home(tmp_path), Endpoint()
    certificate = certificate_path(home).read_bytes()
    play_in(cast("Clients", cast("Any", endpoint)), home, "shop", MAIL, what, now=NOW)
    [body] = endpoint.bodies
    event = decode_sns(body).data
    assert isinstance(event, SnsNotification)
    check_envelope(event, NOW + timedelta(seconds=1), [TOPIC], AGE_MAX)
    check_signature(event, certificate, NOW + timedelta(seconds=1))
    notice = read_notice(event.message)
    assert (notice.meaning, notice.service_id, notice.tenant) == (meaning, "ses-1", "acme")
    if meaning != "delivered":
        assert list(notice.addresses) == ["ada@customers.example"]
    assert json.loads(body)["TopicArn"] == TOPIC


def test_without_the_stacks_key_nothing_is_played_in(tmp_path: Path) -> None:
    clients = cast("Clients", cast("Any", Endpoint()))
    with pytest.raises(Refused, match="embedded stack only"):
        play_in(clients, Home(tmp_path), "shop", MAIL, "bounce", now=NOW)
