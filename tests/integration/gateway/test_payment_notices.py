"""What Stripe tells the front door by itself: believed by its signature, written down once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from billfleet_contracts import PaymentReported, decode
from billfleet_ops.front_door import StripeNotices
from billfleet_ops.local.payment_events import PaymentEvents
from gateway_world import FrontDoor

SECRET = "whsec_local"
KEY = "acme:acme-1:2026-03-01:1"


@dataclass
class Stripe:
    """Stripe with one payment, calling a front door."""

    front: FrontDoor
    events: PaymentEvents = field(init=False)
    answers: list[int] = field(default_factory=list)
    forge: Callable[[bytes], bytes] = bytes

    def __post_init__(self) -> None:
        self.events = PaymentEvents(lambda: self.front.at, SECRET)

    def happens(self, kind: str, key: str = KEY, **changes: Any) -> None:
        metadata = {"billfleet_key": key}
        self.events.add(kind, {"id": "pi_1", "metadata": metadata, **changes})

    async def calls(self, copies: int = 1) -> list[int]:
        self.answers.clear()
        async with self.front.client(None) as client:

            async def call(payload: bytes, signature: str) -> None:
                answer = await self._call(client, self.forge(payload), signature)
                self.answers.append(answer.status_code)

            await self.events.deliver(call, copies=copies)
        return self.answers

    async def _call(
        self, client: httpx.AsyncClient, payload: bytes, signature: str
    ) -> httpx.Response:
        headers = {"Stripe-Signature": signature}
        return await client.post("/hooks/stripe", content=payload, headers=headers)

    async def written(self) -> list[PaymentReported]:
        rows = await self.front.rows("SELECT tenant_id, route_name, body FROM fleet.outbox")
        assert {(row["tenant_id"], row["route_name"]) for row in rows} <= {("acme", "collect")}
        reports = [decode(row["body"]).data for row in rows]
        return [report for report in reports if isinstance(report, PaymentReported)]


@pytest.fixture
def stripe(front: FrontDoor) -> Stripe:
    front.door.notices = StripeNotices(SECRET)
    return Stripe(front)


async def test_payment_that_ended_later_is_written_down_once_however_often_stripe_calls(
    stripe: Stripe,
) -> None:
    """R30"""
    stripe.happens("payment_intent.succeeded")
    assert await stripe.calls(copies=3) == [202, 202, 202]
    (report,) = await stripe.written()
    assert (report.gateway, report.attempt_key, report.result) == ("stripe", KEY, "succeeded")


async def test_call_that_is_not_stripes_or_too_old_is_believed_in_nothing(stripe: Stripe) -> None:
    stripe.happens("payment_intent.succeeded")
    stripe.forge = lambda payload: payload.replace(b"acme-1", b"acme-2")
    assert await stripe.calls() == [400]
    stripe.forge = bytes
    signed_at = stripe.front.at
    stripe.events = PaymentEvents(lambda: signed_at - timedelta(seconds=301), SECRET)
    stripe.happens("payment_intent.succeeded")
    assert await stripe.calls() == [400]
    assert await stripe.written() == []


async def test_what_is_not_about_a_payment_of_ours_is_answered_or_stripe_would_go_on(
    stripe: Stripe,
) -> None:
    stripe.happens("payment_intent.succeeded", key="stranger:a:2026-03-01:1")
    stripe.happens("payment_intent.succeeded", metadata={})
    stripe.happens("customer.created")
    assert await stripe.calls() == [204, 204, 204]
    assert await stripe.written() == []


async def test_money_that_moves_back_is_told_to_whoever_keeps_the_books(stripe: Stripe) -> None:
    stripe.happens("charge.refunded")
    stripe.happens("charge.dispute.funds_withdrawn")
    with capture_logs() as logs:
        assert await stripe.calls() == [204, 204]
    kinds = [log["kind"] for log in logs if log["event"] == "stripe_event_not_booked"]
    assert kinds == ["charge.refunded", "charge.dispute.funds_withdrawn"]


async def test_report_that_could_not_be_written_down_is_asked_for_again(stripe: Stripe) -> None:
    stripe.happens("payment_intent.succeeded")
    await stripe.front.break_next_commit()
    assert await stripe.calls(copies=2) == [503, 202]
    assert len(await stripe.written()) == 1


async def test_without_a_secret_nobody_is_listened_to(stripe: Stripe) -> None:
    stripe.front.door.notices = None
    stripe.happens("payment_intent.succeeded")
    assert await stripe.calls() == [404]
