"""Message bodies for senders that have no form of their own: envelopes of about 500 bytes.

Made one by one while sending, as a service would; the standard library is the floor for that.
"""

import json
import uuid
from datetime import UTC, datetime

TYPE = "billfleet.billing.rebill_accounts.v1"


def body(number: int) -> str:
    """An envelope that carries its number."""
    account = f"account-{number:07}-of-the-benchmark"
    envelope = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/bench",
        "type": TYPE,
        "time": datetime.now(UTC).isoformat(),
        "datacontenttype": "application/json",
        "dataschema": f"urn:billfleet:schema:{TYPE}",
        "tenant": "acme",
        "dedupekey": f"rebill_accounts:{number:032}",
        "data": {
            "as_of": "2026-01-31",
            "accounts": [
                {"account_id": account, "period_start": "2026-01-31", "generation": 0},
            ],
        },
    }
    return json.dumps(envelope, separators=(",", ":"))


def entries(first: int, count: int) -> list[dict[str, str]]:
    """A batch."""
    return [{"Id": str(n), "MessageBody": body(first + n)} for n in range(count)]
