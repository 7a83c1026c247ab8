"""Dead messages as lines of JSON, and back.

`export` and `purge` write them, `import` reads them. A line holds all that the message carried,
binary attributes too, and for people its reason and its event; of those two nothing is read back.
Pure.
"""

import base64
import json
from datetime import datetime
from typing import Any

from billfleet_ops.errors import UsageWrong
from billfleet_ops.replay.reading import Reading
from billfleet_workers.runtime.ports.dead_letters import Attribute, DeadMessage


def line_of(reading: Reading, queue_arn: str) -> str:
    """One message as one line, without its line end."""
    message = reading.message
    return json.dumps(
        {
            "message_id": message.message_id,
            "queue": queue_arn,
            "sent_at": message.sent_at.isoformat(),
            "first_seen_at": reading.first_seen_at.isoformat(),
            "original_id": reading.original_id,
            "reason": reading.reason,
            "fingerprint": reading.fingerprint,
            "contract": reading.contract,
            "tenant": reading.tenant,
            "receive_count": message.receive_count,
            "group_id": message.group_id,
            "source_arn": message.source_arn,
            "attributes": {name: _spelled(one) for name, one in message.attributes.items()},
            "body": message.body,
        },
        ensure_ascii=False,
    )


def parse_line(text: str, number: int) -> tuple[DeadMessage, str]:
    """The message of a line, and the ARN of the queue that it was exported from."""
    try:
        entry: dict[str, Any] = json.loads(text)
        message = DeadMessage(
            message_id=str(entry["message_id"]),
            receipt_handle="",
            body=_text(entry["body"]),
            receive_count=int(entry.get("receive_count", 1)),
            sent_at=_aware(entry["sent_at"]),
            group_id=entry.get("group_id"),
            source_arn=entry.get("source_arn"),
            attributes={
                str(name): _attribute(one) for name, one in entry.get("attributes", {}).items()
            },
        )
        return message, str(entry["queue"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageWrong(
            f"Line {number} is no exported message: {type(error).__name__}: {error}",
            where="the file",
            remedy="Lines come from `replay-dlq export`; change nothing but body and attributes.",
        ) from error


def _text(value: object) -> str:
    """A body; one that somebody turned into a JSON object with jq is spelled out again."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _aware(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without an offset")
    return moment


def _spelled(one: Attribute) -> dict[str, str]:
    if one.data is not None:
        return {"type": one.data_type, "base64": base64.b64encode(one.data).decode()}
    return {"type": one.data_type, "text": one.text}


def _attribute(one: dict[str, str]) -> Attribute:
    if "base64" in one:
        return Attribute(one["type"], data=base64.b64decode(one["base64"], validate=True))
    return Attribute(one["type"], one["text"])
