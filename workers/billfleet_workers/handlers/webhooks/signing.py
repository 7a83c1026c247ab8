"""Signatures and bodies by the Standard Webhooks specification (1.0.0). Pure.

`deliver` signs with every secret of the endpoint that is valid, so that one can be replaced while
deliveries are under way: a receiver takes the delivery when any of the signatures is right.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from billfleet_contracts import Envelope

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - how every secret begins, not one
USER_AGENT: Final = "billfleet-webhooks/1"


def body_of(envelope: Envelope) -> str:
    """What an endpoint is told: type, timestamp and data, with the event's id and its subject."""
    told = {
        "type": envelope.type,
        "timestamp": envelope.time.isoformat().replace("+00:00", "Z"),
        "id": envelope.id,
        "tenant": envelope.tenant,
        "subject": envelope.subject,
        "data": envelope.data.model_dump(mode="json"),
    }
    return json.dumps(told, separators=(",", ":"))


def headers_of(
    event_id: str, body: bytes, secrets: Sequence[str], now: datetime
) -> Mapping[str, str]:
    """The headers of one try. The id is the same at every try; the timestamp is the try's own."""
    timestamp = str(int(now.timestamp()))
    signed = f"{event_id}.{timestamp}.".encode() + body
    return {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{_sign(secret, signed)}" for secret in secrets),
    }


def _sign(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
