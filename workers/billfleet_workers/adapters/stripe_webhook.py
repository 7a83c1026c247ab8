"""Reads what Stripe's webhooks say about our payments.

The front door calls `read_webhook` and enqueues the event that it returns, for the tenant that
`tenant_of_key` names. Who sent it and when is checked before anything is believed. What moves money
and can't be booked by itself (refunds, disputes) is logged, for whoever keeps the books. It knows
no queue and no table.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

import stripe
import structlog

from billfleet_contracts import PaymentReported
from billfleet_workers.adapters.payments_stripe import KEY_FIELD, declined

TOLERANCE_S: Final = 300
_RESULTS: Final[Mapping[str, Literal["succeeded", "declined"]]] = {
    "payment_intent.succeeded": "succeeded",
    "payment_intent.payment_failed": "declined",
}
_MOVES_MONEY: Final = ("charge.refunded", "charge.dispute.funds_")
_log = structlog.get_logger("billfleet.stripe")


class WebhookRefused(Exception):
    """The call is not Stripe's, is too old, or can't be read. Answer 400 and believe nothing.

    If it happens to every call, compare the endpoint's signing secret and the machine's clock.
    """


def read_webhook(
    payload: bytes, signature: str, secret: str, now: datetime
) -> PaymentReported | None:
    """The report in a webhook call; None where it says nothing about a payment of ours.

    Raises:
        WebhookRefused: wrong signature, a timestamp too far from now, or not an event.
    """
    try:
        stripe.WebhookSignature.verify_header(payload, signature, secret, tolerance=None)
        body = json.loads(payload)
    except (stripe.SignatureVerificationError, ValueError) as error:
        raise WebhookRefused(str(error)) from error
    signed_at = _signed_at(signature)
    if abs((now - signed_at).total_seconds()) > TOLERANCE_S:
        raise WebhookRefused(f"the call was signed at {signed_at.isoformat()}, too far from now")
    try:
        return _report(body)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise WebhookRefused(f"not an event that can be read: {error!r}") from error


def tenant_of_key(attempt_key: str) -> str:
    """The tenant that an attempt's key begins with."""
    return attempt_key.partition(":")[0]


def _report(body: Mapping[str, Any]) -> PaymentReported | None:
    kind = body["type"]
    if kind.startswith(_MOVES_MONEY):
        _log.warning("stripe_event_not_booked", stripe_event=body["id"], kind=kind)
    result = _RESULTS.get(kind)
    if result is None:
        return None
    intent = body["data"]["object"]
    key = (intent.get("metadata") or {}).get(KEY_FIELD)
    if key is None:
        return None
    error = intent.get("last_payment_error") or {}
    code = declined(error, intent["id"], default="card_declined").code
    return PaymentReported(
        gateway="stripe",
        gateway_event_id=body["id"],
        attempt_key=key,
        result=result,
        gateway_reference=intent["id"],
        decline_code=code if result == "declined" else None,
        occurred_at=datetime.fromtimestamp(body["created"], UTC),
    )


def _signed_at(signature: str) -> datetime:
    stamps = [part[2:] for part in signature.split(",") if part.startswith("t=")]
    return datetime.fromtimestamp(int(stamps[0]), UTC)
