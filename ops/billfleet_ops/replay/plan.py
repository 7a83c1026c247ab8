"""What would become of each message if it were replayed now: a verdict, and what would be sent.

`run` asks for verdicts and acts on them; a dry run only shows them. Pure: the dedupe record, the
journal's word and the time come in as values. The verdicts follow the rules by which a worker
claims work, so that what is foretold is what happens.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from billfleet_contracts import UnredeemedClaimCheck, encode
from billfleet_ops.replay.addressing import Address
from billfleet_ops.replay.reading import BURIAL_NAMES, REPLAY_RUN, Reading
from billfleet_workers.runtime.ports.dead_letters import Attribute, Copy
from billfleet_workers.runtime.ports.dedupe import Record

SQS_BYTES_MAX = 1024 * 1024
ATTRIBUTES_MAX = 10
VALUE_CHARS_MAX = 256


class Verdict(StrEnum):
    """What a plan says of a message."""

    WILL_RUN = "will-run"
    WILL_SEND = "will-send"
    ALREADY_SENT = "already-sent"
    WILL_SKIP = "will-skip"
    IN_PROGRESS = "in-progress"
    CONFLICT = "conflict"
    UNREADABLE = "unreadable"
    UNCERTAIN = "uncertain"
    NO_ADDRESS = "no-address"
    RETURNED = "returned"
    GROUP_WAITS = "group-waits"


MEANINGS: Mapping[Verdict, str] = {
    Verdict.WILL_RUN: "its work is not recorded as done; it is sent and will run",
    Verdict.WILL_SEND: "it is sent; its queue is not the fleet's, so nothing is known of its work",
    Verdict.ALREADY_SENT: "an earlier run sent it; it is only taken out of the dead-letter queue",
    Verdict.WILL_SKIP: "already done; it stays, until `purge --done` removes it",
    Verdict.IN_PROGRESS: "a worker holds its work right now; it stays",
    Verdict.CONFLICT: "its dedupe key is recorded with another payload; it stays, edit it",
    Verdict.UNREADABLE: "it breaks its contract and would come straight back; it stays, edit it",
    Verdict.UNCERTAIN: "an earlier run died while sending it; it stays, see --resend-uncertain",
    Verdict.NO_ADDRESS: "nobody knows which queue it came from; it stays, name one with --to",
    Verdict.RETURNED: "this run sent it, and it came back; it stays",
    Verdict.GROUP_WAITS: "FIFO: one before it in its group stays, so it waits",
}
SENDS = frozenset({Verdict.WILL_RUN, Verdict.WILL_SEND})
LEFT_IN_S3 = "its body lies in S3; it is sent, and its worker turns it away if its work is done"


@dataclass(frozen=True, slots=True)
class Forcing:
    """Run this key again although it is done, if it was done at exactly this moment."""

    key: str
    completed_at: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a message besides itself."""

    address: Address | None
    record: Record | None = None
    journal_step: str | None = None
    came_back: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator allows."""

    forcing: Forcing | None = None
    resend_uncertain: bool = False
    sends_unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """A message, where it goes, what becomes of it and why."""

    reading: Reading
    address: Address | None
    verdict: Verdict
    why: str
    key: str | None = None
    is_forced: bool = False
    record: Record | None = None

    @property
    def sends(self) -> bool:
        """Whether it would be sent."""
        return self.verdict in SENDS


def judge(reading: Reading, known: Known, rules: Rules, now: datetime) -> Planned:
    """The verdict on one message."""
    address = known.address
    key = address.key_of(reading.envelope) if address and reading.envelope else None

    def planned(verdict: Verdict, why: str = "", *, is_forced: bool = False) -> Planned:
        said = why or MEANINGS[verdict]
        return Planned(reading, address, verdict, said, key, is_forced, known.record)

    if known.journal_step == "sent":
        return planned(Verdict.ALREADY_SENT)
    if known.came_back:
        return planned(Verdict.RETURNED)
    if address is None:
        return planned(Verdict.NO_ADDRESS)
    if address.is_fleets and _is_left_in_s3(reading):
        return planned(Verdict.WILL_SEND, LEFT_IN_S3)
    if address.is_fleets and reading.envelope is None and not rules.sends_unreadable:
        return planned(Verdict.UNREADABLE, str(reading.problem))
    is_interrupted = known.journal_step == "sending" and not rules.resend_uncertain
    if key is None:
        return planned(Verdict.UNCERTAIN if is_interrupted else Verdict.WILL_SEND)
    verdict, why = _by_record(reading, known.record, now)
    forcing = rules.forcing
    if verdict is Verdict.WILL_SKIP and forcing is not None and forcing.key == key:
        if known.record is not None and known.record.completed_at == forcing.completed_at:
            return planned(Verdict.WILL_RUN, "forced: its done record is deleted", is_forced=True)
        return planned(verdict, f"{why}; not at the moment that --if-completed-at names")
    return planned(verdict, why)


def _is_left_in_s3(reading: Reading) -> bool:
    """Whether its body can be had there; what died of that would come straight back."""
    is_pointer = isinstance(reading.problem, UnredeemedClaimCheck)
    return is_pointer and reading.error_class != UnredeemedClaimCheck.__name__


def _by_record(reading: Reading, record: Record | None, now: datetime) -> tuple[Verdict, str]:
    """What the dedupe store makes of it, by the rules of a claim."""
    if record is None:
        return Verdict.WILL_RUN, ""
    if record.payload_hash != reading.payload_hash:
        return Verdict.CONFLICT, ""
    if record.completed_at is not None:
        note = f" ({record.note})" if record.note else ""
        return Verdict.WILL_SKIP, f"done at {record.completed_at.isoformat()}{note}"
    if record.lease_until is not None and record.lease_until > now:
        return Verdict.IN_PROGRESS, f"claimed until {record.lease_until.isoformat()}"
    return Verdict.WILL_RUN, "a worker began it and let its lease lapse"


def in_order(plans: Sequence[Planned], held_groups: set[str], *, is_fifo: bool) -> list[Planned]:
    """FIFO: what stands behind a message that stays waits too. `held_groups` is added to."""
    if not is_fifo:
        return list(plans)
    answers: list[Planned] = []
    for one in plans:
        group = one.reading.message.group_id or ""
        plan = one
        if one.sends and group in held_groups:
            why = MEANINGS[Verdict.GROUP_WAITS]
            plan = replace(one, verdict=Verdict.GROUP_WAITS, why=why, is_forced=False)
        if not plan.sends and plan.verdict is not Verdict.ALREADY_SENT:
            held_groups.add(group)
        answers.append(plan)
    return answers


def copy_of(plan: Planned, run: str) -> Copy:
    """What is sent: the body as it was, or upcast; its own attributes, its id and first time."""
    reading, address = plan.reading, plan.address
    body = upcast_body(reading)
    own = {
        name: one
        for name, one in reading.message.attributes.items()
        if not (reading.is_buried and name in BURIAL_NAMES) and name not in _OURS
    }
    room = SQS_BYTES_MAX - Copy(body, own).size_bytes
    attributes = own | _carried(reading, run, len(own), room)
    is_fifo = address is not None and address.is_fifo
    group = reading.message.group_id or (reading.tenant or "replay" if is_fifo else None)
    deduplicated = deduplication_id(reading.id, body) if is_fifo else None
    return Copy(body, attributes, group, deduplicated)


_OURS = ("original_message_id", "first_sent_at", REPLAY_RUN)


def _carried(reading: Reading, run: str, taken: int, room: int) -> dict[str, Attribute]:
    """Where it comes from, as far as there is room: its own attributes come first."""
    values = (reading.original_id, reading.first_seen_at.isoformat(), run)
    kept: dict[str, Attribute] = {}
    for name, value in zip(_OURS, values, strict=True):
        one = Attribute("String", value[:VALUE_CHARS_MAX])
        size = len(name) + one.size_bytes
        if taken + len(kept) < ATTRIBUTES_MAX and size <= room:
            kept[name] = one
            room -= size
    return kept


def upcast_body(reading: Reading) -> str:
    """The body untouched, unless it is of an old version: then as the current one."""
    envelope, body = reading.envelope, reading.message.body
    if envelope is None or reading.is_translated or f'"{envelope.type}"' in body:
        return body
    return encode(envelope)


def deduplication_id(message_id: str, body: str) -> str:
    """A FIFO queue takes one dead message once within its five minutes, whoever sends it; an edited
    one is another, because what a queue takes for a repeat it drops in silence."""
    digest = hashlib.sha256(f"{message_id}\n{body}".encode()).hexdigest()
    return f"replay-{digest[:32]}"
