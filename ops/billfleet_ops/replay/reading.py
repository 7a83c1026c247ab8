"""What a dead message says of itself: its event, its reason, its age and its history.

Everything that looks into a dead-letter queue reads messages through `read`. Pure. A message that
a worker buried carries its reason; one that SQS moved carries none, so one is worked out from
its body. It must not know queues' clients or the dedupe store.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from billfleet_contracts import (
    CATALOGUE,
    QUEUES,
    Catalogue,
    ContractError,
    Decoder,
    Envelope,
    decode,
    decoder_of,
    payload_hash,
)
from billfleet_workers.runtime.fingerprint import fingerprint
from billfleet_workers.runtime.ports.dead_letters import DeadMessage

RECEIVED_TOO_OFTEN = "received too often without being finished"
SENT_HERE = "sent here by another program, without a reason"
BURIAL_NAMES = frozenset(
    {
        "reason",
        "error_class",
        "fingerprint",
        "contract",
        "attempt",
        "origin",
        "original_message_id",
        "first_sent_at",
        "buried_at",
    }
)
"""The attributes that the fleet gives a message when it buries it."""
REPLAY_RUN = "replay_run"
TRANSLATED: Mapping[str, Decoder] = {
    spec.name: decoder_of(spec.form) for spec in QUEUES.values() if spec.form != "envelope"
}
"""By queue: how bodies are read that Amazon SNS or S3 wrote."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A dead message, understood as far as it can be."""

    message: DeadMessage
    envelope: Envelope | None
    problem: ContractError | None
    reason: str
    error_class: str
    fingerprint: str
    contract: str
    first_seen_at: datetime
    original_id: str
    origin: str | None
    is_buried: bool
    is_translated: bool
    """Its body is no envelope: its queue's decoder made one of it."""

    @property
    def id(self) -> str:
        """The message's id in the dead-letter queue."""
        return self.message.message_id

    @property
    def tenant(self) -> str | None:
        """Whose work it is, where the body says so."""
        return self.envelope.tenant if self.envelope else None

    @property
    def event_id(self) -> str | None:
        """The producer's id of the event."""
        return self.envelope.id if self.envelope else None

    @property
    def payload_hash(self) -> str | None:
        """What the dedupe store would be shown."""
        return payload_hash(self.envelope) if self.envelope else None

    def is_called(self, name: str) -> bool:
        """Whether one of its ids is this one."""
        return name in (self.id, self.original_id, self.event_id)


def read(
    message: DeadMessage,
    catalogue: Catalogue = CATALOGUE,
    translated: Mapping[str, Decoder] = TRANSLATED,
) -> Reading:
    """Understand a message."""
    texts = {name: one.text for name, one in message.attributes.items()}
    translator = _translator(message, texts, translated)
    envelope, problem = _decoded(message.body, translator or (lambda body: decode(body, catalogue)))
    is_buried = "buried_at" in texts and "reason" in texts
    reason, error_class = _why(texts, message, problem, is_buried=is_buried)
    is_known = is_buried and "fingerprint" in texts
    return Reading(
        message=message,
        envelope=envelope,
        problem=problem,
        reason=reason,
        error_class=error_class,
        fingerprint=texts["fingerprint"] if is_known else fingerprint(error_class, reason),
        contract=_contract(texts, envelope, problem),
        first_seen_at=_moment(texts.get("first_sent_at")) or message.sent_at,
        original_id=texts.get("original_message_id") or message.message_id,
        origin=texts.get("origin") if is_buried else None,
        is_buried=is_buried,
        is_translated=translator is not None,
    )


def _decoded(body: str, read_body: Decoder) -> tuple[Envelope | None, ContractError | None]:
    try:
        return read_body(body), None
    except ContractError as error:
        return None, error


def _translator(
    message: DeadMessage, texts: Mapping[str, str], translated: Mapping[str, Decoder]
) -> Decoder | None:
    """What reads the bodies of the queue that it died in, if they are no envelopes."""
    source = texts.get("origin") or (message.source_arn or "").rpartition(":")[2]
    for name, translator in translated.items():
        if source == name or source.endswith(f"-{name}"):
            return translator
    return None


def _why(
    texts: Mapping[str, str],
    message: DeadMessage,
    problem: ContractError | None,
    *,
    is_buried: bool,
) -> tuple[str, str]:
    if is_buried:
        return texts["reason"], texts.get("error_class", "")
    if message.source_arn is not None:
        return RECEIVED_TOO_OFTEN, "ReceiveCountUsedUp"
    if problem is not None:
        return str(problem), type(problem).__name__
    return SENT_HERE, "Unexplained"


def _contract(
    texts: Mapping[str, str], envelope: Envelope | None, problem: ContractError | None
) -> str:
    if envelope is not None:
        return envelope.type
    return (problem.contract if problem else None) or texts.get("contract", "")


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment and moment.tzinfo else None
