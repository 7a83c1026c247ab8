"""The webhooks of the fake payment gateway: signed as Stripe signs them, delivered as one likes.

`payment_gateway` adds an event for every change of a payment; tests and the embedded stack deliver
them, once or more often, in order or not. It knows nothing of the fleet.
"""

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp

Receiver = Callable[[bytes, str], Awaitable[None]]
"""Takes a webhook's body and its `Stripe-Signature` header."""


@dataclass(frozen=True, slots=True)
class PaymentEvent:
    """Something that happened to a payment, as it was then."""

    event_id: str
    kind: str
    at: datetime
    intent: Mapping[str, Any]

    def payload(self) -> bytes:
        """The body of the webhook's call."""
        body = {
            "id": self.event_id,
            "object": "event",
            "type": self.kind,
            "created": int(self.at.timestamp()),
            "data": {"object": self.intent},
        }
        return json.dumps(body, separators=(",", ":")).encode()


class PaymentEvents:
    """Everything that happened, in its order."""

    def __init__(self, now: Callable[[], datetime], secret: str) -> None:
        self._now = now
        self._secret = secret
        self.log: list[PaymentEvent] = []

    def add(self, kind: str, intent: Mapping[str, Any]) -> None:
        """Note that something happened."""
        event_id = f"evt_{len(self.log) + 1:024d}"
        self.log.append(PaymentEvent(event_id, kind, self._now(), deepcopy(dict(intent))))

    def sign(self, payload: bytes) -> str:
        """The header that proves who sent the body, and when."""
        at = int(self._now().timestamp())
        signed = f"{at}.".encode() + payload
        digest = hmac.new(self._secret.encode(), signed, hashlib.sha256).hexdigest()
        return f"t={at},v1={digest}"

    async def deliver(
        self, receiver: Receiver, *, copies: int = 1, newest_first: bool = False
    ) -> None:
        """Call the receiver for every event, so many times each, oldest first or reversed."""
        ordered = list(reversed(self.log)) if newest_first else list(self.log)
        for event in ordered * copies:
            payload = event.payload()
            await receiver(payload, self.sign(payload))


def to_url(session: aiohttp.ClientSession, url: str) -> Receiver:
    """A receiver that posts to a front end."""

    async def post(payload: bytes, signature: str) -> None:
        headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
        async with session.post(url, data=payload, headers=headers) as answer:
            answer.raise_for_status()

    return post
