"""Bounces and complaints: believed only from Amazon, followed once, for one tenant's address."""

import json
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from billfleet_contracts import decode
from billfleet_contracts.sns_notices import decode_sns
from billfleet_db.mail import Mail, suppressions
from billfleet_workers.handlers.mail_feedback.handler import FeedbackHandler, FeedbackPolicy
from billfleet_workers.runtime.errors import Permanent
from billfleet_workers.runtime.handling import Finished, Work
from mail_world import ADA, MailWorld, verification
from rebill_world import read
from sns_signing import TOPIC, Signer, StoredCertificate

EVE = "eve@customers.example"


class Feedback:
    """The feedback worker, and somebody who signs as Amazon would."""

    def __init__(self, world: MailWorld) -> None:
        self.world = world
        self.signer = Signer(world.clock.now())
        self.handler = FeedbackHandler(
            world.database,
            StoredCertificate(self.signer.certificate_pem),
            world.clock,
            world.metrics,
            FeedbackPolicy((TOPIC,), transient_max=3, transient_window=timedelta(days=7)),
        )

    async def hear(self, said: Mapping[str, Any] | str, **signing: str) -> Finished:
        message = said if isinstance(said, str) else json.dumps(said)
        body = self.signer.notification(message, self.world.clock.now(), **signing)
        return await self.hear_body(body)

    async def hear_body(self, body: str) -> Finished:
        envelope = decode_sns(body)
        assert decode(envelope.model_dump_json(exclude_none=True)) == envelope
        return await self.handler.handle(
            Work(envelope, "m-1", 1, self.world.clock.now(), str(uuid.uuid4()))
        )

    async def suppressed(self, address: str, tenant: str = "acme") -> str | None:
        async with self.world.database.transaction() as connection:
            found = await suppressions.find(connection, tenant, address, scope="all")
        return found.reason if found else None


@pytest.fixture
async def feedback(world: MailWorld) -> Feedback:
    """One mail has gone to Ada."""
    await world.open_account(owes=False)
    await world.send(verification())
    return Feedback(world)


def about(mail: Mail) -> dict[str, Any]:
    return {"messageId": mail.service_id, "destination": ["other@customers.example", ADA]}


def bounce(mail: Mail, kind: str = "Permanent", *addresses: str, **named: str) -> dict[str, Any]:
    recipients = [{"emailAddress": address} for address in addresses or (ADA,)]
    part = {"bounceType": kind, "bounceSubType": "General", "bouncedRecipients": recipients}
    return {**(named or {"eventType": "Bounce"}), "bounce": part, "mail": about(mail)}


async def test_a_permanent_bounce_and_a_complaint_suppress_who_they_name_at_once(
    feedback: Feedback,
) -> None:
    """R49: the recipients of the event, not the first that the mail went to."""
    mail = await feedback.world.mail()
    assert (await feedback.hear(bounce(mail, "Permanent", f"Ada <{ADA.upper()}>"))).note == {
        "suppressed": 1
    }
    complaint = {"complainedRecipients": [{"emailAddress": EVE}]}
    said = {"eventType": "Complaint", "complaint": complaint, "mail": about(mail)}
    await feedback.hear(said)
    assert await feedback.suppressed(ADA) == "bounce"
    assert await feedback.suppressed(EVE) == "complaint"
    assert await feedback.suppressed("other@customers.example") is None
    assert await feedback.suppressed(ADA, "other") is None
    after = await feedback.world.mail()
    assert after.bounced_at is not None
    assert after.complained_at is not None
    assert (await feedback.world.send(verification("v-2"))).note == {"suppressed": 1}


async def test_several_recipients_of_a_bounce_are_each_suppressed(feedback: Feedback) -> None:
    """R49."""
    mail = await feedback.world.mail()
    await feedback.hear(bounce(mail, "Permanent", ADA, EVE))
    assert [await feedback.suppressed(one) for one in (ADA, EVE)] == ["bounce", "bounce"]


async def test_transient_bounces_are_counted_over_a_window(feedback: Feedback) -> None:
    """R49: the third within seven days suppresses, an old one no longer counts."""
    mail = await feedback.world.mail()
    assert (await feedback.hear(bounce(mail, "Transient"))).note == {"counted": 1}
    await feedback.world.clock.advance(8 * 86400)
    for _ in range(2):
        assert (await feedback.hear(bounce(mail, "Undetermined"))).note == {"counted": 1}
    assert await feedback.suppressed(ADA) is None
    assert (await feedback.hear(bounce(mail, "Transient"))).note == {"suppressed": 1}
    assert await feedback.suppressed(ADA) == "transient_bounces"


async def test_the_same_notice_twice_counts_once(feedback: Feedback) -> None:
    """R51: its topic and id make it the same."""
    mail = await feedback.world.mail()
    body = feedback.signer.notification(
        json.dumps(bounce(mail, "Transient")), feedback.world.clock.now()
    )
    assert (await feedback.hear_body(body)).note == {"counted": 1}
    assert (await feedback.hear_body(body)).note == {"known_before": 1}
    assert await read(feedback.world.database, "SELECT count(*) FROM mail.bounces") == [(1,)]


async def test_both_spellings_are_read_and_unknown_kinds_are_kept(feedback: Feedback) -> None:
    """R50."""
    mail = await feedback.world.mail()
    old_spelling = bounce(mail, "Permanent", EVE, notificationType="Bounce")
    assert (await feedback.hear(old_spelling)).note == {"suppressed": 1}
    for unheard_of in ({"eventType": "Teleported", "mail": about(mail)}, "no JSON", "[1]", "{}"):
        assert (await feedback.hear(unheard_of)).note == {"unknown_kind": 1}
    kept = await read(
        feedback.world.database, "SELECT kind FROM mail.notices WHERE NOT is_known ORDER BY kind"
    )
    assert [kind for (kind,) in kept] == ["Teleported", "not JSON", "not JSON", "unnamed"]


async def test_a_delivery_is_noted_and_one_of_no_mail_of_ours_changes_nothing(
    feedback: Feedback,
) -> None:
    mail = await feedback.world.mail()
    delivery = {"eventType": "Delivery", "delivery": {"recipients": [ADA]}, "mail": about(mail)}
    assert (await feedback.hear(delivery)).note == {"delivered": 1}
    assert (await feedback.world.mail()).delivered_at is not None
    stranger = bounce(mail)
    stranger["mail"] = {"messageId": "nobody-knows"}
    assert (await feedback.hear(stranger)).note == {"unknown_mail": 1}
    assert await feedback.suppressed(ADA) is None


async def test_what_the_service_tells_settles_a_mail_whose_answer_was_lost(
    feedback: Feedback,
) -> None:
    """R47: found by our own tag, since nobody heard the service's id."""
    world = feedback.world
    world.mailer.lose_answer()
    with pytest.raises(Exception, match="lost"):
        await world.send(verification("v-lost"))
    lost = (await world.mails())[-1]
    tags = {"billfleet-tenant": ["acme"], "billfleet-mail": [str(lost.mail_id)]}
    await feedback.hear({"eventType": "Send", "mail": {"messageId": "ses-1", "tags": tags}})
    settled = (await world.mails())[-1]
    assert (settled.state, settled.service_id) == ("sent", "ses-1")
    await world.clock.advance(61)
    assert (await world.send(verification("v-lost"))).note == {"already_done": 1}


async def test_nothing_follows_from_a_notice_that_is_not_to_be_trusted(feedback: Feedback) -> None:
    """R51: version 1 and 2 are believed; topic, certificate's host, age and content are checked."""
    mail = await feedback.world.mail()
    said = json.dumps(bounce(mail))
    now = feedback.world.clock.now()
    forged = {
        "topic": feedback.signer.notification(said, now, topic=TOPIC + "-of-mine"),
        "does not lie with": feedback.signer.notification(
            said, now, cert_url="https://sns.us-east-1.amazonaws.com.evil.example/a.pem"
        ),
        "too long ago": feedback.signer.notification(said, now - timedelta(days=15)),
        "or ahead": feedback.signer.notification(said, now + timedelta(minutes=6)),
        "version 3": feedback.signer.notification(said, now, version="3"),
        "not of this content": feedback.signer.notification(said, now).replace("General", "Other"),
    }
    for reason, body in forged.items():
        with pytest.raises(Permanent, match=reason):
            await feedback.hear_body(body)
    stranger = Signer(now)
    with pytest.raises(Permanent, match="not of this content"):
        await feedback.hear_body(stranger.notification(said, now))
    assert await feedback.suppressed(ADA) is None
    assert (await feedback.hear(said, version="1")).note == {"suppressed": 1}
